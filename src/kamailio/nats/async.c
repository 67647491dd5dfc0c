#include "kamailio/nats/async.h"

#include "kamailio/glue/process.h"
#include "kamailio/glue/script.h"
#include "kamailio/glue/suspend.h"
#include "kamailio/nats/message.h"
#include "kamailio/nats/request.h"
#include "kamailio/nats/requester.h"
#include "kamailio/nats/settings.h"

static const char function[] = "nats_request_async";
static bool is_wanted;

/* -- the processes -- */

int kn_async_processes(void)
{
	return kn_settings()->async_workers;
}

/* What a KEMI script will call is not known before it does. */
bool kn_async_init(void)
{
	static const char *const names[] = {function, NULL};
	return kb_suspend_init(function, names, &is_wanted);
}

bool kn_async_is_wanted(void)
{
	return is_wanted;
}

/* Copies the reply, which routes read as long as they run, while others may claim the slot. */
static int on_ended(
	const char *name, struct kb_slice subject, enum kb_reply_state state, struct kb_slice flat, int64_t started_us)
{
	static struct kb_buf kept;
	kb_buf_clear(&kept);
	if (state == KB_REPLY_RECEIVED)
		kb_buf_append_slice(&kept, flat);
	return kn_reply_ended(name, subject, kept.failed ? KB_REPLY_LOST : state, kb_buf_slice(&kept), started_us);
}

static void resumer_main(void *argument)
{
	kb_suspend_run_resumer(&(struct kb_resumer){.function = function,
		.replies = kn_requester_replies(),
		.share = (size_t)(intptr_t)argument,
		.ended = on_ended,
		.forget = kn_reply_forget});
}

bool kn_async_fork(void)
{
	for (intptr_t i = 0; is_wanted && i < kn_async_processes(); i++)
		if (kb_process_fork(KB_PROCESS_ROUTES, "nats request resumer", resumer_main, (void *)i) < 0)
			return false;
	return true;
}

/* -- the functions of scripts -- */

/* Of one call, as texts. */
struct parameters {
	struct kb_slice subject, payload, on_reply, on_failure, headers;
	unsigned timeout_ms;
};

static int request(struct sip_msg *msg, const struct parameters *p, struct kb_suspended *s)
{
	struct kb_message m;
	if (!kn_message_build(function, p->subject, p->payload, kb_slice(NULL, 0), p->headers, &m))
		return kn_reply_refuse(NULL);
	return kn_request_suspend(function, msg, &m, p->timeout_ms, s);
}

int kn_async_request6(
	struct sip_msg *msg, char *subject, char *payload, char *on_reply, char *on_failure, char *timeout, char *headers)
{
	struct parameters p = {.timeout_ms = (unsigned)kn_settings()->request_timeout_ms};
	struct kb_suspended s = {0};
	struct kb_slice t;
	if (!kb_suspend_is_loaded(function) || !kb_script_get(msg, function, "subject", subject, &p.subject) ||
		!kb_script_get(msg, function, "payload", payload, &p.payload) ||
		!kb_script_get(msg, function, "success route", on_reply, &p.on_reply) ||
		!kb_script_get(msg, function, "failure route", on_failure, &p.on_failure) ||
		(timeout && (!kb_script_get(msg, function, "timeout", timeout, &t) ||
						!kn_request_read_timeout(function, t, &p.timeout_ms))) ||
		(headers && !kb_script_get(msg, function, "headers", headers, &p.headers)) ||
		!kb_suspend_find_routes(function, p.on_reply, p.on_failure, &s))
		return kn_reply_refuse(NULL);
	return request(msg, &p, &s);
}

int kn_async_request5(
	struct sip_msg *msg, char *subject, char *payload, char *on_reply, char *on_failure, char *timeout)
{
	return kn_async_request6(msg, subject, payload, on_reply, on_failure, timeout, NULL);
}

int kn_async_request4(struct sip_msg *msg, char *subject, char *payload, char *on_reply, char *on_failure)
{
	return kn_async_request6(msg, subject, payload, on_reply, on_failure, NULL, NULL);
}

int kn_async_request_kemi(
	struct sip_msg *msg, str *subject, str *payload, str *on_reply, str *on_failure, int timeout_ms)
{
	struct parameters p = {
		.subject = kb_str_to_slice(subject), .payload = kb_str_to_slice(payload), .timeout_ms = (unsigned)timeout_ms};
	struct kb_suspended s = {0};
	if (!kn_request_timeout_in_range(function, timeout_ms) || !kb_suspend_is_loaded(function) ||
		!kb_suspend_find_callbacks(function, kb_str_to_slice(on_reply), kb_str_to_slice(on_failure), &s))
		return kn_reply_refuse(NULL);
	return request(msg, &p, &s);
}
