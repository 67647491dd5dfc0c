/* Requests over AMQP, and what routes see of the replies: what kazoo_query (query.c) and kazoo_async_query (async.c)
 * have in common. */
#ifndef KB_KAMAILIO_KAZOO_REQUEST_H
#define KB_KAMAILIO_KAZOO_REQUEST_H

#include <core/parser/msg_parser.h>
#include <core/pvar.h>

#include <stdbool.h>

#include "kamailio/glue/request.h"

/* In mod_init: reads amqp_query_timeout_avp. */
bool kz_request_check(void);

/* A pseudo-variable that a parameter names; *has: whether it names one. False and a log line when it names something
 * else. */
bool kz_request_read_variable(const char *parameter, const char *name, pv_spec_t *variable, bool *has);

/* Of one call, as texts. */
struct kz_request_parameters {
	struct kb_slice exchange, routing_key, payload, headers;
};

/* What a script gets. */
enum {
	KZ_REPLIED = 1,
	KZ_FAILED = -1,
	KZ_TIMEOUT = -2,
	KZ_UNROUTABLE = -3, /* the request reached no queue */
	KZ_TOO_LARGE = -4   /* the reply is larger than a slot */
};

/* The result of the last request of this process, $kzR, is JSON or null: null from kz_request_refuse() and
 * kz_request_forget_result() on. */
struct kb_request kz_request_new(const char *function, struct sip_msg *msg, struct kz_request_parameters *parameters);

/* For a request that cannot be sent, which is logged already: KZ_FAILED, counted. */
int kz_request_refuse(void);

/* See struct kb_request_kind: KZ_REPLIED with $kzR set, or another outcome with a log line. */
int kz_request_ended(const char *function, struct kb_slice routing_key, enum kb_reply_state state,
	struct kb_slice reply, int64_t started_us);

void kz_request_forget_result(void);
int kz_request_pv_result(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);

#endif
