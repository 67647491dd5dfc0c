#include "kamailio/nats/request.h"

#include <core/dprint.h>

#include <stdio.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/number.h"
#include "core/reply_id.h"
#include "kamailio/glue/request.h"
#include "kamailio/glue/script.h"
#include "kamailio/nats/message.h"
#include "kamailio/nats/requester.h"
#include "kamailio/nats/settings.h"

static const char requesting[] = "nats_request";

/* -- a request -- */

static bool is_connected(struct kb_request *r)
{
	static struct kb_log_limit no_server;
	const struct kb_replies *replies = kn_requester_replies();
	if (replies && kb_replies_are_open(replies))
		return true;
	kb_log_limited(&no_server, KB_LOG_ERROR, "%s: request to \"%.*s\" refused: %s", r->function,
		KB_SLICE_FMT(r->message.key), replies ? "not connected to a server" : "called before the server has started");
	r->refusal = "not connected";
	return false;
}

/* An id, a reply subject that ends in it, and a deadline. */
static bool build(struct kb_request *r, size_t slot)
{
	static char id[KB_REPLY_ID_WORD_CHARS], reply[KN_INBOX_BYTES + 1 + KB_REPLY_ID_WORD_CHARS]; /* INBOX.ID */
	const unsigned *timeout_ms = r->parameters;
	if (!is_connected(r))
		return false;
	kb_reply_id_word(id, slot);
	int n = snprintf(reply, sizeof reply, "%s.%.*s", kn_requester_inbox(), (int)sizeof id, id);
	r->id = kb_slice(id, sizeof id);
	r->deadline_ms = kb_clock_deadline_ms(*timeout_ms);
	r->message.reply = kb_slice(reply, (size_t)n);
	r->message.origin = (struct kb_origin){.tag = (uint64_t)r->deadline_ms, .flags = KB_EXPIRES};
	return true;
}

static bool fits(const struct kb_request *r)
{
	return kn_message_fits(r->function, kn_requester_outbox(), &r->message);
}

static bool send_message(const struct kb_request *r)
{
	return kn_message_send(r->function, kn_requester_outbox(), &r->message) == 1;
}

static int refuse(const struct kb_request *r)
{
	return kn_reply_refuse(r->refusal);
}

static void log_too_many(const char *function)
{
	static struct kb_log_limit too_many;
	kb_log_limited(&too_many, KB_LOG_ERROR,
		"%s: request refused, too many requests in flight (nats_async_requests=%zu)", function, kn_requester_most());
}

static const struct kb_request_kind kind = {.replies = kn_requester_replies,
	.build = build,
	.fits = fits,
	.send = send_message,
	.refuse = refuse,
	.log_too_many = log_too_many,
	.ended = kn_reply_ended};

int kn_request_wait(const char *function, const struct kb_message *m, unsigned timeout_ms)
{
	struct kb_request r = {.kind = &kind, .function = function, .parameters = &timeout_ms, .message = *m};
	return kb_request_wait(&r);
}

int kn_request_suspend(
	const char *function, struct sip_msg *msg, const struct kb_message *m, unsigned timeout_ms, struct kb_suspended *s)
{
	struct kb_request r = {.kind = &kind, .function = function, .msg = msg, .parameters = &timeout_ms, .message = *m};
	kn_reply_forget();
	return kb_request_suspend(&r, s);
}

/* -- nats_request -- */

bool kn_request_timeout_in_range(const char *function, int timeout_ms)
{
	if (timeout_ms >= 1 && timeout_ms <= KN_TIMEOUT_MAX_MS)
		return true;
	LM_ERR("%s: timeout must be 1 to %d milliseconds\n", function, KN_TIMEOUT_MAX_MS);
	return false;
}

bool kn_request_read_timeout(const char *function, struct kb_slice text, unsigned *timeout_ms)
{
	uint64_t ms = 0;
	bool is_number = kb_number_read(text, INT32_MAX, &ms);
	*timeout_ms = (unsigned)ms;
	if (is_number)
		return kn_request_timeout_in_range(function, (int)ms);
	kb_log(KB_LOG_ERROR, "%s: timeout \"%.*s\" is not a number of milliseconds", function, KB_SLICE_FMT(text));
	return false;
}

static int request(struct kb_slice subject, struct kb_slice payload, unsigned timeout_ms, struct kb_slice headers)
{
	struct kb_message m;
	if (!kn_message_build(requesting, subject, payload, kb_slice(NULL, 0), headers, &m))
		return kn_reply_refuse(NULL);
	return kn_request_wait(requesting, &m, timeout_ms);
}

static int read_and_request(struct sip_msg *msg, char *subject, char *payload, char *timeout, char *headers)
{
	struct kb_slice s, p, t, h = {NULL, 0};
	unsigned timeout_ms = (unsigned)kn_settings()->request_timeout_ms;
	if (!kb_script_get(msg, requesting, "subject", subject, &s) ||
		!kb_script_get(msg, requesting, "payload", payload, &p) ||
		(timeout && (!kb_script_get(msg, requesting, "timeout", timeout, &t) ||
						!kn_request_read_timeout(requesting, t, &timeout_ms))) ||
		(headers && !kb_script_get(msg, requesting, "headers", headers, &h)))
		return kn_reply_refuse(NULL);
	return request(s, p, timeout_ms, h);
}

int kn_request5(struct sip_msg *msg, char *subject, char *payload, char *target, char *timeout, char *headers)
{
	pv_value_t value;
	int outcome = read_and_request(msg, subject, payload, timeout, headers);
	kn_reply_pv(msg, NULL, &value);
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

int kn_request_kemi_headers(struct sip_msg *msg, str *subject, str *payload, int timeout_ms, str *headers)
{
	(void)msg;
	if (!kn_request_timeout_in_range(requesting, timeout_ms))
		return kn_reply_refuse(NULL);
	return request(kb_str_to_slice(subject), kb_str_to_slice(payload), (unsigned)timeout_ms,
		headers ? kb_str_to_slice(headers) : kb_slice(NULL, 0));
}

int kn_request_kemi(struct sip_msg *msg, str *subject, str *payload, int timeout_ms)
{
	return kn_request_kemi_headers(msg, subject, payload, timeout_ms, NULL);
}
