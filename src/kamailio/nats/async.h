/* nats_request_async: a request whose transaction is suspended until the reply is there. */
#ifndef KB_KAMAILIO_NATS_ASYNC_H
#define KB_KAMAILIO_NATS_ASYNC_H

#include <core/parser/msg_parser.h>
#include <core/str.h>

#include <stdbool.h>

/* The processes that continue suspended transactions are wanted when the routes call the function, or a KEMI script
 * might. In mod_init: how many there may be. In child_init(PROC_INIT): whether they are wanted; false and a log line:
 * tm is missing. In child_init(PROC_MAIN): the processes. */
int kn_async_processes(void);
bool kn_async_init(void);
bool kn_async_is_wanted(void);
bool kn_async_fork(void);

int kn_async_request4(struct sip_msg *msg, char *subject, char *payload, char *on_reply, char *on_failure);
int kn_async_request5(
	struct sip_msg *msg, char *subject, char *payload, char *on_reply, char *on_failure, char *timeout);
int kn_async_request6(
	struct sip_msg *msg, char *subject, char *payload, char *on_reply, char *on_failure, char *timeout, char *headers);
int kn_async_request_kemi(
	struct sip_msg *msg, str *subject, str *payload, str *on_reply, str *on_failure, int timeout_ms);

#endif
