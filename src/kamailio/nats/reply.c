#include "kamailio/nats/reply.h"

#include <string.h>

#include "core/log.h"
#include "kamailio/glue/message_pv.h"
#include "kamailio/nats/stats.h"

static struct kb_message message;
static bool have_message;
static const char *error; /* why there is none; NULL: nothing failed */
static const char may_not[] = "permissions violation";

const struct kb_message *kn_reply_message(void)
{
	return have_message ? &message : NULL;
}

void kn_reply_set_error(const char *why)
{
	error = why;
}

void kn_reply_forget(void)
{
	have_message = false;
	error = NULL;
}

int kn_reply_refuse(const char *why)
{
	kn_reply_forget();
	error = why ? why : "refused";
	kb_counts_request_ended(KN_REQUESTS, KB_REQUESTS_REFUSED, 0);
	return KN_FAILED;
}

/* -- the end of a request -- */

/* The server's own reply to a request on a subject without subscribers: status 503, and nothing else. */
static bool is_no_responders(const struct kb_message *m)
{
	return m->payload.n == 0 &&
		   kb_slice_equal(kb_headers_find(m->properties, KB_SLICE_LITERAL("status")), KB_SLICE_LITERAL("503"));
}

static enum kn_outcome fail(enum kn_outcome outcome, enum kb_request_column column, const char *why)
{
	error = why;
	kb_counts_request_ended(KN_REQUESTS, column, 0);
	return outcome;
}

static enum kn_outcome receive(struct kb_slice flat, int64_t started_us)
{
	if (!kb_message_decode(flat.p, flat.n, &message))
		return fail(KN_FAILED, KB_REQUESTS_LOST, "lost");
	if (is_no_responders(&message))
		return fail(KN_NO_RESPONDERS, KB_REQUESTS_NO_RESPONDERS, "no responders");
	have_message = true;
	kb_counts_request_ended(KN_REQUESTS, KB_REQUESTS_REPLIED, started_us);
	return KN_REPLIED;
}

static enum kn_outcome take(enum kb_reply_state state, struct kb_slice flat, int64_t started_us)
{
	kn_reply_forget();
	switch (state) {
	case KB_REPLY_RECEIVED: return receive(flat, started_us);
	case KB_REPLY_TIMEOUT: return fail(KN_TIMEOUT, KB_REQUESTS_TIMEOUT, "timeout");
	case KB_REPLY_TOO_LARGE: return fail(KN_FAILED, KB_REQUESTS_TOO_LARGE, "too large");
	case KB_REPLY_UNSENT: return fail(KN_FAILED, KB_REQUESTS_REFUSED, "refused");
	case KB_REPLY_FORBIDDEN: return fail(KN_FAILED, KB_REQUESTS_FORBIDDEN, may_not);
	default: return fail(KN_FAILED, KB_REQUESTS_LOST, "lost");
	}
}

static const char *cause_of_failure(void)
{
	if (strcmp(error, "too large") == 0)
		return "the reply is too large";
	return strcmp(error, "lost") == 0 ? "connection to the server lost" : "the server does not accept the message";
}

static void log_failure(const char *function, enum kn_outcome outcome, struct kb_slice subject)
{
	static struct kb_log_limit timeouts, unheard, losses, violations;
	if (outcome == KN_TIMEOUT)
		kb_log_limited(&timeouts, KB_LOG_WARNING, "%s: request to \"%.*s\" timed out", function, KB_SLICE_FMT(subject));
	else if (outcome == KN_NO_RESPONDERS)
		kb_log_limited(
			&unheard, KB_LOG_WARNING, "%s: request to \"%.*s\" failed: no responders", function, KB_SLICE_FMT(subject));
	else if (error == may_not)
		kb_log_limited(&violations, KB_LOG_WARNING,
			"%s: request to \"%.*s\" failed: the account has no permission to publish to it", function,
			KB_SLICE_FMT(subject));
	else
		kb_log_limited(&losses, KB_LOG_WARNING, "%s: request to \"%.*s\" failed: %s", function, KB_SLICE_FMT(subject),
			cause_of_failure());
}

int kn_reply_ended(
	const char *function, struct kb_slice subject, enum kb_reply_state state, struct kb_slice flat, int64_t started_us)
{
	enum kn_outcome outcome = take(state, flat, started_us);
	if (outcome != KN_REPLIED)
		log_failure(function, outcome, subject);
	return outcome;
}

/* -- variables -- */

int kn_reply_pv(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	const struct kb_message *m = kn_reply_message();
	if (!m)
		return pv_get_null(msg, parameter, value);
	return kb_message_pv_text(msg, parameter, value, kb_slice(m->payload.p ? m->payload.p : "", m->payload.n));
}

int kn_reply_pv_header(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	const struct kb_message *m = kn_reply_message();
	return m ? kb_message_pv_entry(msg, parameter, value, m->headers) : pv_get_null(msg, parameter, value);
}

int kn_reply_pv_status(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	const struct kb_message *m = kn_reply_message();
	if (!m)
		return pv_get_null(msg, parameter, value);
	return kb_message_pv_text(msg, parameter, value, kb_headers_find(m->properties, KB_SLICE_LITERAL("status")));
}

int kn_reply_pv_error(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return kb_message_pv_text(msg, parameter, value, kb_slice_from(error));
}
