#include "kamailio/kazoo/query.h"

#include <core/dprint.h>

#include "kamailio/glue/fixup.h"
#include "kamailio/glue/script.h"
#include "kamailio/kazoo/message.h"
#include "kamailio/kazoo/request.h"
#include "kamailio/kazoo/settings.h"

static const char function[] = "kazoo_query";
static pv_spec_t result_variable;
static bool has_result_variable;

bool kz_query_check(void)
{
	const char *name = kz_settings()->result_avp;
	if (!kz_request_read_variable("amqp_result_avp", name, &result_variable, &has_result_variable))
		return false;
	if (!has_result_variable || pv_is_w(&result_variable))
		return true;
	LM_ERR("amqp_result_avp: \"%s\" must be a writable pseudo-variable\n", name);
	return false;
}

/* -- the result -- */

/* The reply, or null, to a variable that a script or amqp_result_avp names. */
static bool assign_result(struct sip_msg *msg, pv_spec_t *variable)
{
	pv_value_t value;
	kz_request_pv_result(msg, NULL, &value);
	return kb_script_assign(msg, variable, &value) >= 0;
}

static bool assign_to_all(struct sip_msg *msg, pv_spec_t *target)
{
	return (!has_result_variable || assign_result(msg, &result_variable)) && (!target || assign_result(msg, target));
}

/* Without a reply, $kzR and the variable of amqp_result_avp are null, and the target keeps what it had, as in Debian's
 * module. */
static int show(struct sip_msg *msg, pv_spec_t *target, int outcome)
{
	if (assign_to_all(msg, outcome == KZ_REPLIED ? target : NULL))
		return outcome;
	kz_request_forget_result();
	assign_to_all(msg, NULL);
	return KZ_FAILED;
}

static int query(struct sip_msg *msg, struct kz_request_parameters *p)
{
	struct kb_request r = kz_request_new(function, msg, p);
	kz_request_forget_result(); /* not before the parameters are read: they may be of the reply before */
	return kb_request_wait(&r);
}

/* -- the functions of scripts -- */

static bool read_parameters(struct sip_msg *msg, struct kz_request_parameters *p, char *exchange, char *routing_key,
	char *payload, char *headers)
{
	return kz_message_get(msg, function, "exchange", exchange, &p->exchange) &&
		   kz_message_get(msg, function, "routing_key", routing_key, &p->routing_key) &&
		   kz_message_get(msg, function, "json_payload", payload, &p->payload) &&
		   (!headers || kz_message_get(msg, function, "amqp_headers", headers, &p->headers));
}

int kz_query5(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *target, char *headers)
{
	struct kz_request_parameters p = {.headers = {NULL, 0}};
	bool good = read_parameters(msg, &p, exchange, routing_key, payload, headers);
	return show(msg, (pv_spec_t *)target, good ? query(msg, &p) : kz_request_refuse());
}

int kz_query4(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *target)
{
	return kz_query5(msg, exchange, routing_key, payload, target, NULL);
}

int kz_query3(struct sip_msg *msg, char *exchange, char *routing_key, char *payload)
{
	return kz_query5(msg, exchange, routing_key, payload, NULL, NULL);
}

int kz_query_kemi_headers(struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *headers)
{
	struct kz_request_parameters p = {kb_str_to_slice(exchange), kb_str_to_slice(routing_key), kb_str_to_slice(payload),
		headers ? kb_str_to_slice(headers) : kb_slice(NULL, 0)};
	return show(msg, NULL, query(msg, &p));
}

int kz_query_kemi(struct sip_msg *msg, str *exchange, str *routing_key, str *payload)
{
	return kz_query_kemi_headers(msg, exchange, routing_key, payload, NULL);
}

enum { TARGET = 4 };

int kz_query_fixup(void **parameter, int number)
{
	return number == TARGET ? kb_fixup_target(parameter, number) : kb_fixup_text(parameter, number);
}

int kz_query_fixup_free(void **parameter, int number)
{
	return number == TARGET ? kb_fixup_target_free(parameter, number) : kb_fixup_text_free(parameter, number);
}
