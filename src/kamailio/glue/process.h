/* Processes that a module starts. */
#ifndef KB_KAMAILIO_GLUE_PROCESS_H
#define KB_KAMAILIO_GLUE_PROCESS_H

/* In mod_init: tells the core how many processes the module will start. */
void kb_process_announce(int count);

enum kb_process_kind {
	KB_PROCESS_BARE,   /* talks to a broker and uses nothing else of Kamailio */
	KB_PROCESS_ROUTES, /* runs routes: the child_init of every module is called */
	KB_PROCESS_SENDER  /* also runs routes, and has messages to send when the server stops */
};

/* In child_init(PROC_MAIN): forks a process that runs `body` until the server stops. 0, or -1 and a log line. */
int kb_process_fork(enum kb_process_kind kind, const char *description, void (*body)(void *), void *argument);

/* Becomes 1 when the server stops; the body must return soon after. A KB_PROCESS_ROUTES ends at once instead. */
extern const volatile int *const kb_process_stop;

/* How long a publisher may continue to send after the server was told to stop. */
enum { KB_PROCESS_DRAIN_MS = 2000 };

/* The tick of the loops below the Kamailio layer: takes over changed settings of the core. */
void kb_process_tick(void *context);

#endif
