#include "kamailio/process.h"

#include <core/cfg/cfg_struct.h>
#include <core/dprint.h>
#include <core/pt.h>
#include <core/sr_module.h>

#include <signal.h>
#include <stdint.h>
#include <unistd.h>

static volatile int stopping;
const volatile int *const kb_process_stop = &stopping;

static void on_term(int signal_number)
{
	(void)signal_number;
	stopping = 1;
}

/* The core's own handler ends a process on the spot, with all that it still had to send. */
static void stop_in_good_order(void)
{
	struct sigaction action = {.sa_handler = on_term};
	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
}

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
		_exit(1);
	}
	if (kind == KB_PROCESS_BARE)
		stop_in_good_order();
	body(argument);
	_exit(0); /* exit() would run what the parent has registered, once more */
}

void kb_process_tick(void *context)
{
	(void)context;
	cfg_update();
}
