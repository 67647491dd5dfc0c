/* nats_request_async: the transaction is suspended (suspend.h) until the answer is there. */
#include <core/dprint.h>
#include <core/kemi.h>

#include "kamailio/glue/script.h"
#include "kamailio/nats/publish.h"
#include "kamailio/nats/request.h"
#include "kamailio/nats/settings.h"

static const char function[] = KN_REQUEST_ASYNC;

/* Of one call, as texts. */
struct words {
	struct kb_slice subject, payload, on_answer, on_failure, headers;
	unsigned timeout_ms;
};

static int ask(struct sip_msg *msg, const struct words *w, struct kb_suspended *s)
{
	struct kb_message m;
	if (!kn_build(function, w->subject, w->payload, kb_slice(NULL, 0), w->headers, &m))
		return kn_refuse();
	return kn_ask_and_suspend(function, msg, &m, w->timeout_ms, s);
}

int kn_request_async6(
	struct sip_msg *msg, char *subject, char *payload, char *on_answer, char *on_failure, char *timeout, char *headers)
{
	struct words w = {.timeout_ms = (unsigned)kn_settings()->request_timeout_ms};
	struct kb_suspended s = {0};
	struct kb_slice t;
	if (!kb_suspend_is_loaded(function) || !kb_script_get(msg, function, "subject", subject, &w.subject) ||
		!kb_script_get(msg, function, "payload", payload, &w.payload) ||
		!kb_script_get(msg, function, "success route", on_answer, &w.on_answer) ||
		!kb_script_get(msg, function, "failure route", on_failure, &w.on_failure) ||
		(timeout &&
			(!kb_script_get(msg, function, "timeout", timeout, &t) || !kn_read_timeout(function, t, &w.timeout_ms))) ||
		(headers && !kb_script_get(msg, function, "headers", headers, &w.headers)) ||
		!kb_suspend_find_routes(function, w.on_answer, w.on_failure, &s))
		return kn_refuse();
	return ask(msg, &w, &s);
}

int kn_request_async5(
	struct sip_msg *msg, char *subject, char *payload, char *on_answer, char *on_failure, char *timeout)
{
	return kn_request_async6(msg, subject, payload, on_answer, on_failure, timeout, NULL);
}

int kn_request_async4(struct sip_msg *msg, char *subject, char *payload, char *on_answer, char *on_failure)
{
	return kn_request_async6(msg, subject, payload, on_answer, on_failure, NULL, NULL);
}

/* Without a KEMI script as the configuration's main one (lua_run of app_lua), the names are those of routes. */
static bool find(const struct words *w, struct kb_suspended *s)
{
	if (sr_kemi_eng_get())
		return kb_suspend_name_callbacks(function, w->on_answer, w->on_failure, s);
	return kb_suspend_find_routes(function, w->on_answer, w->on_failure, s);
}

int kn_kemi_request_async(
	struct sip_msg *msg, str *subject, str *payload, str *on_answer, str *on_failure, int timeout_ms)
{
	struct words w = {.subject = kb_slice_of_str(subject),
		.payload = kb_slice_of_str(payload),
		.on_answer = kb_slice_of_str(on_answer),
		.on_failure = kb_slice_of_str(on_failure),
		.timeout_ms = (unsigned)timeout_ms};
	struct kb_suspended s = {0};
	if (!kn_timeout_in_range(function, timeout_ms) || !kb_suspend_is_loaded(function) || !find(&w, &s))
		return kn_refuse();
	return ask(msg, &w, &s);
}
