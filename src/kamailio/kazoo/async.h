/* kazoo_async_query: a request whose transaction is suspended until the reply is there. */
#ifndef KB_KAMAILIO_KAZOO_ASYNC_H
#define KB_KAMAILIO_KAZOO_ASYNC_H

#include <core/parser/msg_parser.h>
#include <core/str.h>

#include <stdbool.h>

/* In child_init(PROC_INIT): finds tm when the function may be called. */
bool kz_async_init(void);

/* The processes that continue suspended transactions, as many as workers: to announce, and to fork. */
int kz_async_processes(void);
bool kz_async_fork(void);

/* 0 when the request is in flight, which ends the script, or a negative outcome; the form for KEMI: 1 or negative. */
int kz_async_query5(
	struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *on_reply, char *on_failure);
int kz_async_query6(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *on_reply,
	char *on_failure, char *flags);
int kz_async_query_kemi(
	struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *on_reply, str *on_failure);

#endif
