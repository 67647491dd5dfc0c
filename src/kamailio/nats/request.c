/* nats_request for kamailio.cfg and KEMI, and what routes see of the answer. */
#include "kamailio/nats/request.h"

#include <core/dprint.h>

#include "core/log.h"
#include "kamailio/glue/message_pv.h"
#include "kamailio/glue/script.h"
#include "kamailio/nats/publish.h"
#include "kamailio/nats/settings.h"

static const char function[] = "nats_request";

/* -- variables -- */

int kn_pv_answer(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	const struct kb_message *m = kn_answer();
	if (!m)
		return pv_get_null(msg, parameter, value);
	return kb_pv_text(msg, parameter, value, kb_slice(m->payload.p ? m->payload.p : "", m->payload.n));
}

int kn_pv_answer_header(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	const struct kb_message *m = kn_answer();
	return m ? kb_pv_entry(msg, parameter, value, m->headers) : pv_get_null(msg, parameter, value);
}

int kn_pv_answer_status(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	const struct kb_message *m = kn_answer();
	if (!m)
		return pv_get_null(msg, parameter, value);
	return kb_pv_text(msg, parameter, value, kb_headers_find(m->properties, KB_SLICE_LITERAL("status")));
}

int kn_pv_error(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return kb_pv_text(msg, parameter, value, kb_slice_from(kn_error()));
}

/* -- nats_request -- */

bool kn_timeout_in_range(const char *name, int timeout_ms)
{
	if (timeout_ms >= 1 && timeout_ms <= KN_TIMEOUT_MAX_MS)
		return true;
	LM_ERR("%s: the timeout must be 1 to %d milliseconds\n", name, KN_TIMEOUT_MAX_MS);
	return false;
}

bool kn_read_timeout(const char *name, struct kb_slice text, unsigned *timeout_ms)
{
	unsigned ms = 0;
	size_t i = 0;
	while (i < text.n && text.p[i] >= '0' && text.p[i] <= '9' && ms <= KN_TIMEOUT_MAX_MS)
		ms = ms * 10 + (unsigned)(text.p[i++] - '0');
	*timeout_ms = ms;
	if (i == text.n)
		return kn_timeout_in_range(name, (int)ms);
	kb_log(KB_LOG_ERROR, "%s: the timeout \"%.*s\" is no number of milliseconds", name, KB_SLICE_FMT(text));
	return false;
}

static int request(struct kb_slice subject, struct kb_slice payload, unsigned timeout_ms, struct kb_slice headers)
{
	struct kb_message m;
	if (!kn_build(function, subject, payload, kb_slice(NULL, 0), headers, &m))
		return kn_refuse();
	return kn_ask(function, &m, timeout_ms);
}

static int read_and_request(struct sip_msg *msg, char *subject, char *payload, char *timeout, char *headers)
{
	struct kb_slice s, p, t, h = {NULL, 0};
	unsigned timeout_ms = (unsigned)kn_settings()->request_timeout_ms;
	if (!kb_script_get(msg, function, "subject", subject, &s) ||
		!kb_script_get(msg, function, "payload", payload, &p) ||
		(timeout &&
			(!kb_script_get(msg, function, "timeout", timeout, &t) || !kn_read_timeout(function, t, &timeout_ms))) ||
		(headers && !kb_script_get(msg, function, "headers", headers, &h)))
		return kn_refuse();
	return request(s, p, timeout_ms, h);
}

int kn_request5(struct sip_msg *msg, char *subject, char *payload, char *target, char *timeout, char *headers)
{
	pv_value_t value;
	int outcome = read_and_request(msg, subject, payload, timeout, headers);
	kn_pv_answer(msg, NULL, &value);
	return kb_script_assign(msg, (pv_spec_t *)target, &value) < 0 ? KN_FAILED : outcome;
}

int kn_request4(struct sip_msg *msg, char *subject, char *payload, char *target, char *timeout)
{
	return kn_request5(msg, subject, payload, target, timeout, NULL);
}

int kn_request3(struct sip_msg *msg, char *subject, char *payload, char *target)
{
	return kn_request5(msg, subject, payload, target, NULL, NULL);
}

int kn_kemi_request_headers(struct sip_msg *msg, str *subject, str *payload, int timeout_ms, str *headers)
{
	(void)msg;
	if (!kn_timeout_in_range(function, timeout_ms))
		return kn_refuse();
	return request(kb_slice_of_str(subject), kb_slice_of_str(payload), (unsigned)timeout_ms,
		headers ? kb_slice_of_str(headers) : kb_slice(NULL, 0));
}

int kn_kemi_request(struct sip_msg *msg, str *subject, str *payload, int timeout_ms)
{
	return kn_kemi_request_headers(msg, subject, payload, timeout_ms, NULL);
}
