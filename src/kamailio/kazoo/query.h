/* Asking over AMQP and getting the answer (kazoo manual 5.1.2). */
#ifndef KB_KAMAILIO_KAZOO_QUERY_H
#define KB_KAMAILIO_KAZOO_QUERY_H

#include <core/parser/msg_parser.h>
#include <core/pvar.h>

#include <stdbool.h>

#include "core/replies.h"

/* In mod_init: reads amqp_query_timeout_avp. */
bool kz_query_check(void);

/* In child_init(PROC_INIT): the memory, and tm where an asynchronous function is used. */
bool kz_query_init(void);
bool kz_async_init(void);
struct kb_replies *kz_replies(void);

/* The processes that go on with suspended transactions, announced and forked like the others: as many as workers. */
int kz_query_processes(void);
bool kz_query_fork(void);

/* `kamailio@<host>-<pid>-<random>`: the part of the reply address that stays. In a container that was killed and starts
 * again the process id is the same. */
const char *kz_reply_prefix(void);

int kz_query3(struct sip_msg *msg, char *exchange, char *routing_key, char *payload);
int kz_query4(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *target);
int kz_query5(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *target, char *headers);
int kz_fixup_query(void **parameter, int number);
int kz_fixup_query_free(void **parameter, int number);

int kz_async_query5(
	struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *on_answer, char *on_failure);
int kz_async_query6(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *on_answer,
	char *on_failure, char *flags);

int kz_kemi_query(struct sip_msg *msg, str *exchange, str *routing_key, str *payload);
int kz_kemi_query_headers(struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *headers);
int kz_kemi_async_query(
	struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *on_answer, str *on_failure);

int kz_pv_query_result(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);

#endif
