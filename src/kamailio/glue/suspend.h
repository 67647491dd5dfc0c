/* Transactions that wait for a reply from the bus: the SIP worker suspends them, and processes that do nothing else
 * continue them, so that no reply ever waits behind an event route. */
#ifndef KB_KAMAILIO_GLUE_SUSPEND_H
#define KB_KAMAILIO_GLUE_SUSPEND_H

#include <core/parser/msg_parser.h>

#include <stdbool.h>

#include "core/replies.h"

enum { KB_CALLBACK_BYTES = 56 };

struct kb_resume_route {
	int index;     /* -1: none */
	int is_common; /* whether it is among the route[NAME]s, not those for replies or failures */
};

/* The note of a request (kb_reply_hand_over()): the transaction that its end continues. */
struct kb_suspended {
	unsigned int index, label;
	int64_t started_us;                          /* kb_clock_us() */
	struct kb_resume_route on_reply, on_failure; /* routes of kamailio.cfg */
	char reply_callback[KB_CALLBACK_BYTES];      /* or functions of a KEMI script; "": none */
	char failure_callback[KB_CALLBACK_BYTES];
	char about[KB_REPLY_NOTE_MAX - 2 * KB_CALLBACK_BYTES - 8 * 4]; /* where the request went, for log lines */
};

/* In child_init(PROC_INIT): whether transactions may be suspended, because a route calls one of these functions, or a
 * KEMI script might and tm is loaded. If so it finds the functions of tm, which all processes inherit; false and a log
 * line when a route calls one and tm is not loaded. */
bool kb_suspend_init(const char *function, const char *const names[], bool *wanted);

/* Whether kb_suspend_init() has found the functions of tm: false and a log line when not. */
bool kb_suspend_is_loaded(const char *function);

/* Finds onreply_route[on_reply] and failure_route[on_failure], or else the route[NAME] of that name, as configurations
 * for earlier versions have them; an empty name is no route. False and a log line. */
bool kb_suspend_find_routes(
	const char *function, struct kb_slice on_reply, struct kb_slice on_failure, struct kb_suspended *s);

/* The same for a call from KEMI: the names are those of functions of the KEMI script, which are found when they are
 * called, or those of routes when the configuration's main script is no KEMI script (lua_run of app_lua). */
bool kb_suspend_find_callbacks(
	const char *function, struct kb_slice on_reply, struct kb_slice on_failure, struct kb_suspended *s);

/* KB_SUSPENDED_BEFORE: the message is a retransmission, and the transaction of the first one waits for the reply, so
 * that no second request is sent. */
enum kb_suspending { KB_NOT_SUSPENDED, KB_SUSPENDED_BEFORE, KB_SUSPENDED };

/* Whether msg has a transaction to suspend, or may get one: KB_SUSPENDED. KB_NOT_SUSPENDED with a log line: for the
 * faked request of an event route, for which tm would make a transaction once and take each later one for the same.
 * Makes no transaction: all that may still refuse the request comes between this and kb_suspend(), because a script
 * whose message has a transaction can no longer reply statelessly. */
enum kb_suspending kb_suspend_look(const char *function, struct sip_msg *msg);

/* Suspends the transaction of msg and makes it first if there is none yet. KB_NOT_SUSPENDED with a log line. */
enum kb_suspending kb_suspend(const char *function, struct sip_msg *msg, struct kb_suspended *s);

/* The request was not sent after all, and the route that suspended goes on. */
void kb_suspend_cancel(const struct kb_suspended *s);

/* A process that continues them. Each has its share of the requests, and runs one route at a time: a slow route delays
 * no more than its share. */
struct kb_resumer {
	const char *function; /* for log lines */
	struct kb_replies *replies;
	size_t share;

	/* As in struct kb_request_kind: positive for a reply. Here `reply` is valid only during the call, since other
	 * requests need the slot while the route runs. */
	int (*ended)(const char *function, struct kb_slice about, enum kb_reply_state state, struct kb_slice reply,
		int64_t started_us);

	/* The route is done. */
	void (*forget)(void);
};

/* Never returns. */
void kb_suspend_run_resumer(const struct kb_resumer *r);

#endif
