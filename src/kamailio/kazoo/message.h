/* What goes out: the messages that scripts publish and ask, and the outbox that they go into. */
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
struct kb_outbox *kz_outbox(void);

/* Of the outbox's readers, those before it are the publishers of the zones. */
size_t kz_question_reader(void);

/* kb_script_get() for what is to go out, so that what cannot be is counted. */
bool kz_message_get(
	struct sip_msg *msg, const char *function, const char *name, char *parameter, struct kb_slice *value);

/* A message with strict JSON and the fields that say who sent it, for one call of kz_message_send(); its parts lie in
 * buffers of the function's own. False and a log line that begins with the script's function when a part is not what it
 * must be. */
bool kz_message_build(const char *function, struct kb_slice exchange, struct kb_slice routing_key,
	struct kb_slice payload, struct kb_slice headers, struct kb_message *m);

/* Adds properties given as `k=v;k2=v2`; false and a log line. */
bool kz_message_add_properties(const char *function, struct kb_slice text, struct kb_message *m);

/* Whether the outbox has room for it; false and a log line. */
bool kz_message_fits(const char *function, const struct kb_message *m);

/* Into the outbox: 1, or -1 and a log line. */
int kz_message_send(const char *function, const struct kb_message *m);

/* What became of the message sent last: 1 confirmed, -1 refused, -2 and a log line when that is not known in time. */
int kz_message_await(const char *function, const struct kb_message *m, unsigned timeout_ms);

#endif
