/* What asking and waiting (kazoo_query.c) and asking and going on later (kazoo_async.c) have in common. */
#ifndef KB_KAMAILIO_KAZOO_ASK_H
#define KB_KAMAILIO_KAZOO_ASK_H

#include <core/parser/msg_parser.h>

#include "core/message.h"

/* A question ready to be sent; its parts lie in buffers that the next one takes over. */
struct kz_question {
	struct kb_message message;
	struct kb_slice id; /* what the answer will carry */
	uint64_t deadline_ms;
};

/* False and a log line when it cannot be asked, or when no broker is connected. */
bool kz_ask_build(struct kz_question *q, const char *function, struct sip_msg *msg, struct kb_slice exchange,
	struct kb_slice routing_key, struct kb_slice payload, struct kb_slice headers);

/* $kzR of this process. */
void kz_set_result(struct kb_slice answer);
void kz_forget_result(void);

#endif
