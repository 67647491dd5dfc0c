/* nats_publish, native and KEMI, and the processes that send what it accepts. */
#ifndef KB_KAMAILIO_NATS_PUBLISH_H
#define KB_KAMAILIO_NATS_PUBLISH_H

#include <core/parser/msg_parser.h>

#include <stdbool.h>

#include "core/slice.h"

/* In child_init(PROC_INIT), when the number of processes is known: the outbox. In child_init(PROC_MAIN): the
 * processes. False and a log line. */
bool kn_publish_init(void);
bool kn_publish_fork(void);

/* Publishes a message on behalf of `function`, a function of scripts. An empty reply subject means none. 1, or -1 and a
 * log line. */
int kn_publish_message(const char *function, struct kb_slice subject, struct kb_slice payload, struct kb_slice reply,
	struct kb_slice headers);

int kn_publish2(struct sip_msg *msg, char *subject, char *payload);
int kn_publish3(struct sip_msg *msg, char *subject, char *payload, char *reply);
int kn_publish4(struct sip_msg *msg, char *subject, char *payload, char *reply, char *headers);
int kn_publish_kemi(struct sip_msg *msg, str *subject, str *payload);
int kn_publish_kemi_request(struct sip_msg *msg, str *subject, str *payload, str *reply);
int kn_publish_kemi_headers(struct sip_msg *msg, str *subject, str *payload, str *reply, str *headers);

#endif
