#include "kamailio/process.h"

#include <core/cfg/cfg_struct.h>
#include <core/dprint.h>
#include <core/pt.h>
#include <core/sr_module.h>

#include <stdint.h>
#include <stdlib.h>

void kb_process_announce(int count)
{
	register_procs(count);
	cfg_register_child(count);
}

int kb_process_fork(enum kb_process_kind kind, const char *description, void (*body)(void *), void *argument)
{
	int rank = kind == KB_PROCESS_ROUTES ? PROC_XWORKER : PROC_NOCHLDINIT;
	int pid = fork_process(rank, (char *)(uintptr_t)description, 1);
	if (pid < 0) {
		LM_ERR("cannot fork the process \"%s\"\n", description);
		return -1;
	}
	if (pid > 0)
		return 0;
	if (cfg_child_init() < 0) {
		LM_ERR("cannot set up the process \"%s\"\n", description);
		exit(1);
	}
	body(argument);
	exit(0);
}

void kb_process_tick(void *context)
{
	(void)context;
	cfg_update();
}
