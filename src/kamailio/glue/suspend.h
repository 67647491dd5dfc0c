/* Transactions that wait for an answer from the bus: the SIP worker suspends them, and processes that do nothing else
 * go on with them, so that no answer ever waits behind an event route. */
#ifndef KB_KAMAILIO_GLUE_SUSPEND_H
#define KB_KAMAILIO_GLUE_SUSPEND_H

#include <core/parser/msg_parser.h>

#include <stdbool.h>

#include "core/replies.h"

enum { KB_CALLBACK_BYTES = 56 };

/* What it takes to go on with a transaction: the note of its question, see kb_reply_hand_over(). */
struct kb_suspended {
	unsigned int index, label;
	int64_t started_us;                      /* kb_now_us() */
	int on_answer, on_failure;               /* routes of kamailio.cfg; -1: none */
	char answer_callback[KB_CALLBACK_BYTES]; /* or functions of a KEMI script; "": none */
	char failure_callback[KB_CALLBACK_BYTES];
	char about[KB_REPLY_NOTE_MAX - 2 * KB_CALLBACK_BYTES - 6 * 4]; /* what was asked, for log lines */
};

/* In child_init(PROC_INIT): whether transactions may be suspended, because a route calls one of these functions, or a
 * KEMI script might and tm is there. If so it finds the functions of tm, which all processes inherit; false and a log
 * line when a route calls one and tm is not loaded. */
bool kb_suspend_init(const char *function, const char *const names[], bool *wanted);

/* Whether it has found them: false and a log line when not. */
bool kb_suspend_is_loaded(const char *function);

/* Finds onreply_route[on_answer] and failure_route[on_failure]; an empty name is no route. False and a log line. */
bool kb_suspend_find_routes(
	const char *function, struct kb_slice on_answer, struct kb_slice on_failure, struct kb_suspended *s);

/* The same for a KEMI script, whose functions are found when they are called. */
bool kb_suspend_name_callbacks(
	const char *function, struct kb_slice on_answer, struct kb_slice on_failure, struct kb_suspended *s);

/* A message that comes again, because its sender has no reply yet, is not to be asked for again: the transaction of the
 * first one waits for the answer. */
enum kb_suspending { KB_NOT_SUSPENDED, KB_SUSPENDED_BEFORE, KB_SUSPENDED };

/* Whether msg has a transaction to suspend, or may get one: KB_SUSPENDED. KB_NOT_SUSPENDED with a log line: for the
 * faked request of an event route, for which tm would make a transaction once and take each later one for the same.
 * Nothing is made yet: what may still refuse the question comes between this and kb_suspend(), for with a transaction a
 * script can no longer reply as if there were none. */
enum kb_suspending kb_suspend_look(const char *function, struct sip_msg *msg);

/* Suspends the transaction of msg, which is made when there is none yet. KB_NOT_SUSPENDED with a log line. */
enum kb_suspending kb_suspend(const char *function, struct sip_msg *msg, struct kb_suspended *s);

/* The question was not asked after all, and the route that suspended goes on. */
void kb_suspend_cancel(const struct kb_suspended *s);

/* A process that goes on with them. Each has its share of the questions, and runs one route at a time: a slow one holds
 * up no more than its share. */
struct kb_resumer {
	const char *function; /* for log lines */
	struct kb_replies *replies;
	size_t share;

	/* Makes what became of a question visible to the route that comes now, and logs what failed. True: answered. The
	 * answer is valid during the call. */
	bool (*ended)(enum kb_reply_state state, struct kb_slice answer, const struct kb_suspended *s);

	/* The route is done. */
	void (*forget)(void);
};

/* Never returns. */
void kb_resumer_run(const struct kb_resumer *r);

#endif
