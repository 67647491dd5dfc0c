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

/* Interrupts blocking calls repeatedly, so that the process notices `stopping` no matter when the signal arrived. A
 * process that is stuck in a library ends here. */
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

/* The core's own handler ends a process at once and loses everything that is still to be sent. */
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

/* Blocks the signals that end a process until the new process is ready. Until it knows that it is not the main process,
 * it would record such a signal for the main process and forget it, and the server would wait for this process forever.
 */
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
		LM_ERR("cannot fork process \"%s\"\n", description);
		return -1;
	}
	if (pid > 0)
		return 0;
	if (cfg_child_init() < 0) {
		LM_ERR("cannot initialise process \"%s\"\n", description);
		_exit(1);
	}
	body(argument);
	_exit(0); /* exit() would run the exit handlers of the parent a second time */
}

void kb_process_tick(void *context)
{
	(void)context;
	cfg_update();
}
