/* Processes of a module's own. */
#ifndef KB_KAMAILIO_GLUE_PROCESS_H
#define KB_KAMAILIO_GLUE_PROCESS_H

/* In mod_init: tells the core how many processes will come. */
void kb_process_announce(int count);

enum kb_process_kind {
	KB_PROCESS_BARE,   /* talks to a broker and to nothing else of Kamailio */
	KB_PROCESS_ROUTES, /* runs routes: every module gets its child_init */
	KB_PROCESS_SENDER  /* runs routes too, and has something to send when the server stops */
};

/* In child_init(PROC_MAIN): forks a process that runs `body` until the server stops. 0, or -1 and a log line. */
int kb_process_fork(enum kb_process_kind kind, const char *description, void (*body)(void *), void *argument);

/* Becomes 1 when the server stops; the body is to return soon after. A KB_PROCESS_ROUTES ends at once instead. */
extern const volatile int *const kb_process_stop;

/* How long the publisher of a server that stops may still deliver what its workers published. */
enum { KB_PROCESS_DRAIN_MS = 2000 };

/* A tick for loops below the Kamailio layer: takes over changed settings of the core. */
void kb_process_tick(void *context);

#endif
