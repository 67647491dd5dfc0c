/* What asking and waiting (query.c) and asking and going on later (async.c) have in common. */
#ifndef KB_KAMAILIO_KAZOO_ASK_H
#define KB_KAMAILIO_KAZOO_ASK_H

#include <core/parser/msg_parser.h>

#include "core/message.h"
#include "core/replies.h"

/* A question ready to be sent; its parts lie in buffers that the next one takes over. */
struct kz_question {
	struct kb_message message;
	struct kb_slice id; /* what the answer will carry */
	int64_t deadline_ms;
};

/* For a question that cannot be asked, which is logged already: KZ_FAILED, counted, and $kzR is null. */
int kz_ask_refuse(void);

/* False and a log line when it cannot be asked, or when no broker is connected: kz_ask_refuse() is done. */
bool kz_ask_build(struct kz_question *q, const char *function, struct sip_msg *msg, struct kb_slice exchange,
	struct kb_slice routing_key, struct kb_slice payload, struct kb_slice headers);

/* What a script gets. */
enum {
	KZ_ANSWERED = 1,
	KZ_FAILED = -1,
	KZ_TIMEOUT = -2,
	KZ_UNROUTABLE = -3, /* the question reached no queue */
	KZ_TOO_LARGE = -4   /* the answer did */
};

/* The end of a question that was sent, counted: KZ_ANSWERED with $kzR set, or another one with a log line. */
int kz_question_ended(const char *function, struct kb_slice routing_key, enum kb_reply_state state,
	struct kb_slice answer, int64_t started_us);

/* $kzR of this process. */
void kz_forget_result(void);

/* The line of a question that amqp_max_channels refuses. */
void kz_log_too_many(const char *function);

#endif
