#include "kamailio/glue/process.h"

#include <core/cfg/cfg_struct.h>
#include <core/dprint.h>
#include <core/pt.h>
#include <core/sr_module.h>

#include <signal.h>
#include <stdint.h>
#include <sys/time.h>
#include <unistd.h>

static volatile int stopping;
const volatile int *const kb_process_stop = &stopping;

enum { TICK_US = 50000, TICKS_MAX = (KB_PROCESS_DRAIN_MS + 1000) * 1000 / TICK_US };

/* Interrupts whatever the process waits in, again and again, so that it sees `stopping` however the signal fell; one
 * that is stuck in a library ends here. */
static void on_tick(int signal_number)
{
	static int ticks;
	(void)signal_number;
	if (++ticks > TICKS_MAX)
		_exit(0);
}

static void on_term(int signal_number)
{
	const struct itimerval tick = {{0, TICK_US}, {0, TICK_US}};
	(void)signal_number;
	stopping = 1;
	setitimer(ITIMER_REAL, &tick, NULL);
}

/* The core's own handler ends a process on the spot, with all that it still had to send. */
static void stop_in_good_order(void)
{
	struct sigaction term = {.sa_handler = on_term}, tick = {.sa_handler = on_tick};
	sigemptyset(&term.sa_mask);
	sigemptyset(&tick.sa_mask);
	sigaction(SIGALRM, &tick, NULL);
	sigaction(SIGTERM, &term, NULL);
}

void kb_process_announce(int count)
{
	register_procs(count);
	cfg_register_child(count);
}

/* A signal to end that comes before the new process knows that it is not the main one would be taken down as the main
 * one's, and forgotten: the server would wait for that process in vain. So it waits until the process is ready. */
static sigset_t hold_back_signals(void)
{
	sigset_t held, before;
	sigemptyset(&held);
	sigaddset(&held, SIGTERM);
	sigaddset(&held, SIGINT);
	sigprocmask(SIG_BLOCK, &held, &before);
	return before;
}

int kb_process_fork(enum kb_process_kind kind, const char *description, void (*body)(void *), void *argument)
{
	int rank = kind == KB_PROCESS_BARE ? PROC_NOCHLDINIT : PROC_XWORKER;
	sigset_t before = hold_back_signals();
	int pid = fork_process(rank, (char *)(uintptr_t)description, 1);
	if (pid == 0 && kind != KB_PROCESS_ROUTES)
		stop_in_good_order();
	sigprocmask(SIG_SETMASK, &before, NULL);
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
	body(argument);
	_exit(0); /* exit() would run what the parent has registered, once more */
}

void kb_process_tick(void *context)
{
	(void)context;
	cfg_update();
}
