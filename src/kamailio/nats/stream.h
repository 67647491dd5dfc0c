/* JetStream for scripts: messages that a stream is to store (stream.c), and what becomes of those that a durable
 * consumer delivers (verdict.c). */
#ifndef KB_KAMAILIO_NATS_STREAM_H
#define KB_KAMAILIO_NATS_STREAM_H

#include <core/parser/msg_parser.h>

#include <stdbool.h>

#include "core/outbox.h"

/* -- publishing into streams: an outbox and a process of its own, so that a stream without a leader holds up nothing of
 * core NATS. Both exist only where the configuration publishes into streams, or could, with KEMI. -- */

enum { KN_STREAM_PROCESSES = 1 };

/* In child_init(PROC_INIT): the memory. In child_init(PROC_MAIN): the process. */
bool kn_stream_init(void);
bool kn_stream_fork(void);

/* 1 accepted, or stored where it waits; -1 and a log line; -2: not known in time, and still being sent. */
enum { KN_STORED = 1, KN_NOT_STORED = -1, KN_NOT_KNOWN = -2 };

int kn_stream_publish2(struct sip_msg *msg, char *subject, char *payload);
int kn_stream_publish3(struct sip_msg *msg, char *subject, char *payload, char *headers);
int kn_stream_publish_wait3(struct sip_msg *msg, char *subject, char *payload, char *timeout);
int kn_stream_publish_wait4(struct sip_msg *msg, char *subject, char *payload, char *timeout, char *headers);
int kn_stream_publish_kemi(struct sip_msg *msg, str *subject, str *payload);
int kn_stream_publish_kemi_headers(struct sip_msg *msg, str *subject, str *payload, str *headers);
int kn_stream_publish_kemi_wait(struct sip_msg *msg, str *subject, str *payload, int timeout_ms);
int kn_stream_publish_kemi_wait_headers(struct sip_msg *msg, str *subject, str *payload, int timeout_ms, str *headers);

/* -- what becomes of the message whose event route runs: 1, or -1 and a log line -- */

int kn_verdict_ack(struct sip_msg *msg, char *unused1, char *unused2);
int kn_verdict_nak0(struct sip_msg *msg, char *unused1, char *unused2);
int kn_verdict_nak1(struct sip_msg *msg, char *delay, char *unused);
int kn_verdict_term(struct sip_msg *msg, char *unused1, char *unused2);
int kn_verdict_progress(struct sip_msg *msg, char *unused1, char *unused2);
int kn_verdict_ack_kemi(struct sip_msg *msg);
int kn_verdict_nak_kemi(struct sip_msg *msg, int delay_ms);
int kn_verdict_term_kemi(struct sip_msg *msg);
int kn_verdict_progress_kemi(struct sip_msg *msg);

#endif
