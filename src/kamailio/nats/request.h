/* nats_request, and what all that sends requests over NATS has in common. */
#ifndef KB_KAMAILIO_NATS_REQUEST_H
#define KB_KAMAILIO_NATS_REQUEST_H

#include <core/parser/msg_parser.h>

#include <stdbool.h>

#include "core/message.h"
#include "kamailio/glue/suspend.h"
#include "kamailio/nats/reply.h"

/* Sends a message of kn_message_build() that has no reply subject, and sleeps until the request has ended: enum
 * kn_outcome, with a log line that begins with the script's function unless it is KN_REPLIED. timeout_ms: 1 to
 * KN_TIMEOUT_MAX_MS.
 */
int kn_request_wait(const char *function, const struct kb_message *m, unsigned timeout_ms);

/* Suspends the transaction of msg and sends: 1, or -1 and a log line, and the transaction is as it was. Routes or
 * callbacks of `s` are set. */
int kn_request_suspend(
	const char *function, struct sip_msg *msg, const struct kb_message *m, unsigned timeout_ms, struct kb_suspended *s);

/* 1 to KN_TIMEOUT_MAX_MS, or false and a log line. */
bool kn_request_timeout_in_range(const char *function, int timeout_ms);
bool kn_request_read_timeout(const char *function, struct kb_slice text, unsigned *timeout_ms);

int kn_request3(struct sip_msg *msg, char *subject, char *payload, char *target);
int kn_request4(struct sip_msg *msg, char *subject, char *payload, char *target, char *timeout);
int kn_request5(struct sip_msg *msg, char *subject, char *payload, char *target, char *timeout, char *headers);
int kn_request_kemi(struct sip_msg *msg, str *subject, str *payload, int timeout_ms);
int kn_request_kemi_headers(struct sip_msg *msg, str *subject, str *payload, int timeout_ms, str *headers);

#endif
