/* What goes out: the messages that scripts publish and the requests that they send, and the outbox for both. */
#ifndef KB_KAMAILIO_KAZOO_MESSAGE_H
#define KB_KAMAILIO_KAZOO_MESSAGE_H

#include <core/parser/msg_parser.h>

#include <stdbool.h>

#include "core/message.h"
#include "core/outbox.h"

/* In mod_init: reads amqp_publish_properties. */
bool kz_message_check(void);

/* In child_init(PROC_INIT), when the number of processes is known. */
bool kz_message_init(void);
struct kb_outbox *kz_message_outbox(void);

/* The reader of the outbox that sends requests; those before it are the publishers of the zones. */
size_t kz_message_request_reader(void);

/* kb_script_get() for a part of a message, counted when it fails. */
bool kz_message_get(
	struct sip_msg *msg, const char *function, const char *name, char *parameter, struct kb_slice *value);

/* Fields of the payload that it gets when it lacks them. */
struct kz_message_sender {
	struct kb_slice reply_address; /* Server-ID */
	struct kb_slice id;            /* Msg-ID; empty: a new one */
};

/* A message with strict JSON and the fields that say who sent it, for one call of kz_message_send(); its parts lie in
 * buffers of the function. False and a log line that begins with the script's function when a part is not valid: names
 * are at most 255 bytes, the payload is a JSON object. */
bool kz_message_build(const char *function, struct kb_slice exchange, struct kb_slice routing_key,
	struct kb_slice payload, struct kb_slice headers, struct kz_message_sender sender, struct kb_message *m);

/* Adds properties given as `k=v;k2=v2`; false and a log line. */
bool kz_message_add_properties(const char *function, struct kb_slice text, struct kb_message *m);

/* Whether the outbox has room for it; false and a log line. */
bool kz_message_fits(const char *function, const struct kb_message *m);

/* Into the outbox: 1, or -1 and a log line. */
int kz_message_send(const char *function, const struct kb_message *m);

/* The outcome of the message that was sent last: 1 confirmed, -1 refused, -2 and a log line when that is not known in
 * time. */
int kz_message_await(const char *function, const struct kb_message *m, unsigned timeout_ms);

#endif
