/* nats_js_publish and nats_js_publish_wait, native and KEMI: publish messages for a stream to store. They have an
 * outbox and a process of their own, so that a stream without a leader does not hold up core NATS. Both exist only when
 * the configuration publishes into streams, or has a KEMI script that might. */
#ifndef KB_KAMAILIO_NATS_STREAM_H
#define KB_KAMAILIO_NATS_STREAM_H

#include <core/parser/msg_parser.h>

#include <stdbool.h>

enum { KN_STREAM_PROCESSES = 1 };

/* In child_init(PROC_INIT): creates the outbox. In child_init(PROC_MAIN): forks the process. False and a log line. */
bool kn_stream_init(void);
bool kn_stream_fork(void);

/* 1: accepted, or stored when the function waits; -1 and a log line; -2: not known in time, and still being sent. */
enum { KN_STORED = 1, KN_NOT_STORED = -1, KN_NOT_KNOWN = -2 };

int kn_stream_publish2(struct sip_msg *msg, char *subject, char *payload);
int kn_stream_publish3(struct sip_msg *msg, char *subject, char *payload, char *headers);
int kn_stream_publish_wait3(struct sip_msg *msg, char *subject, char *payload, char *timeout);
int kn_stream_publish_wait4(struct sip_msg *msg, char *subject, char *payload, char *timeout, char *headers);
int kn_stream_publish_kemi(struct sip_msg *msg, str *subject, str *payload);
int kn_stream_publish_kemi_headers(struct sip_msg *msg, str *subject, str *payload, str *headers);
int kn_stream_publish_kemi_wait(struct sip_msg *msg, str *subject, str *payload, int timeout_ms);
int kn_stream_publish_kemi_wait_headers(struct sip_msg *msg, str *subject, str *payload, int timeout_ms, str *headers);

#endif
