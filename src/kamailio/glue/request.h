/* A request of a script's function, on its way from the slot for its reply to its end: kazoo_query, nats_request, their
 * asynchronous forms and all that is built on them go this way. */
#ifndef KB_KAMAILIO_GLUE_REQUEST_H
#define KB_KAMAILIO_GLUE_REQUEST_H

#include <core/parser/msg_parser.h>

#include <stdbool.h>

#include "core/message.h"
#include "core/replies.h"
#include "kamailio/glue/suspend.h"

struct kb_request_kind;

struct kb_request {
	const struct kb_request_kind *kind;
	const char *function; /* of the script; log lines begin with it */
	struct sip_msg *msg;
	void *parameters; /* of `kind` */

	/* Complete when kind.build() has returned. */
	struct kb_message message;
	struct kb_slice id; /* 1 to KB_REPLY_ID_MAX bytes; the reply carries it */
	int64_t deadline_ms;
	const char *refusal; /* why the request is refused, a word for scripts; NULL: what kind.refuse() takes for it */
};

/* What a module does with its requests. */
struct kb_request_kind {
	struct kb_replies *(*replies)(void); /* NULL: the server has not started, or sends no requests */

	/* Completes a request whose reply comes to `slot` (for the id, see reply_id.h). False and a log line: it cannot be
	 * sent. */
	bool (*build)(struct kb_request *r, size_t slot);

	/* Whether the outbox has room for it, and puts it there. False and a log line. */
	bool (*fits)(const struct kb_request *r);
	bool (*send)(const struct kb_request *r);

	/* Counts a request that was not sent, which is logged already, and returns the outcome for the script. */
	int (*refuse)(const struct kb_request *r);

	/* The log line of a request that is one too many in flight. */
	void (*log_too_many)(const char *function);

	/* Counts a request that was sent and has ended, keeps what routes see of the reply, and returns the outcome for the
	 * script, with a log line unless it is a reply. `about` is the key of the request, or its beginning. `reply` is
	 * valid as kb_reply_wait() says. */
	int (*ended)(const char *function, struct kb_slice about, enum kb_reply_state state, struct kb_slice reply,
		int64_t started_us);
};

/* Sends the request and sleeps until it has ended: the outcome for the script. */
int kb_request_wait(struct kb_request *r);

/* Suspends the transaction of r->msg and sends the request: 1, or a negative outcome, and the transaction is as it was.
 * Routes or callbacks of `s` are set. A request for a transaction that is suspended already is not sent again: 1. */
int kb_request_suspend(struct kb_request *r, struct kb_suspended *s);

#endif
