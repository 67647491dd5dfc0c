/* nats_publish and nats_respond, native and KEMI; and what all that sends has in common. */
#ifndef KB_KAMAILIO_NATS_PUBLISH_H
#define KB_KAMAILIO_NATS_PUBLISH_H

#include <core/parser/msg_parser.h>

#include <stdbool.h>

#include "core/message.h"
#include "core/outbox.h"

/* A message for one call of kn_message_send(); headers are `k=v;k2=v2`, and lie in a buffer of the function's own. An
 * empty reply is none. False and a log line that begins with the script's function when a part is not what it must be.
 */
bool kn_message_build(const char *function, struct kb_slice subject, struct kb_slice payload, struct kb_slice reply,
	struct kb_slice headers, struct kb_message *m);

/* For a call whose parameters make no message, which is logged already: -1, counted. */
int kn_message_refuse(void);

/* Whether an outbox has room for it, or is NULL, before the start; false and a log line. */
bool kn_message_fits(const char *function, struct kb_outbox *outbox, const struct kb_message *m);

/* Into an outbox, which may be NULL before the start: 1, or -1 and a log line. */
int kn_message_send(const char *function, struct kb_outbox *outbox, const struct kb_message *m);

/* In child_init(PROC_INIT), when the number of processes is known. */
bool kn_publish_init(void);
bool kn_publish_fork(void);

int kn_publish2(struct sip_msg *msg, char *subject, char *payload);
int kn_publish3(struct sip_msg *msg, char *subject, char *payload, char *reply);
int kn_publish4(struct sip_msg *msg, char *subject, char *payload, char *reply, char *headers);
int kn_respond1(struct sip_msg *msg, char *payload, char *unused);
int kn_respond2(struct sip_msg *msg, char *payload, char *headers);
int kn_publish_kemi(struct sip_msg *msg, str *subject, str *payload);
int kn_publish_kemi_request(struct sip_msg *msg, str *subject, str *payload, str *reply);
int kn_publish_kemi_headers(struct sip_msg *msg, str *subject, str *payload, str *reply, str *headers);
int kn_respond_kemi(struct sip_msg *msg, str *payload);
int kn_respond_kemi_headers(struct sip_msg *msg, str *payload, str *headers);

#endif
