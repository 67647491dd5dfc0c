#include "kamailio/nats/message.h"

#include <core/dprint.h>
#include <core/pt.h>

#include "core/log.h"
#include "kamailio/nats/settings.h"
#include "kamailio/nats/stats.h"
#include "nats/headers.h"
#include "nats/subject.h"

static bool take_subject(const char *function, struct kb_slice subject)
{
	const char *fault = kb_nats_subject_fault(subject);
	if (fault)
		kb_log(KB_LOG_ERROR, "%s: cannot publish to \"%.*s\": %s", function, KB_SLICE_FMT(subject), fault);
	return !fault;
}

static bool take_headers(const char *function, struct kb_slice text, struct kb_buf *headers)
{
	struct kb_slice bad;
	size_t size;
	kb_buf_clear(headers);
	if (!kb_headers_parse(text, headers, &bad)) {
		kb_log(KB_LOG_ERROR, "%s: header \"%.*s\" is not of the form name=value", function, KB_SLICE_FMT(bad));
		return false;
	}
	const char *fault = kb_nats_headers_fault(kb_buf_slice(headers), &size);
	if (fault)
		kb_log(KB_LOG_ERROR, "%s: invalid headers \"%.*s\": %s", function, KB_SLICE_FMT(text), fault);
	return !fault && !headers->failed;
}

int kn_message_refuse(void)
{
	kb_counts_add(KN_REFUSED_INVALID);
	return -1;
}

bool kn_message_build(const char *function, struct kb_slice subject, struct kb_slice payload, struct kb_slice reply,
	struct kb_slice headers, struct kb_message *m)
{
	static struct kb_buf list;
	if (!take_subject(function, subject) || (reply.n && !take_subject(function, reply)) ||
		!take_headers(function, headers, &list)) {
		kn_message_refuse();
		return false;
	}
	*m = (struct kb_message){.key = subject, .payload = payload, .reply = reply, .headers = kb_buf_slice(&list)};
	return true;
}

static bool accepted(
	const char *function, struct kb_outbox *to, const struct kb_message *m, enum kb_outbox_result result)
{
	static struct kb_log_limit full;
	if (result == KB_OUTBOX_TOO_LARGE)
		LM_ERR("%s: message of %zu bytes refused: nats_outbox_size allows messages of up to %zu bytes\n", function,
			m->payload.n, kb_outbox_message_max(to));
	else if (result != KB_OUTBOX_ACCEPTED)
		kb_log_limited(&full, KB_LOG_ERROR,
			"%s: message refused, the outbox of this process is full (nats_outbox_size=%d)", function,
			kn_settings()->outbox_bytes);
	return result == KB_OUTBOX_ACCEPTED;
}

static bool has_started(const char *function, const struct kb_outbox *to)
{
	if (!to)
		LM_ERR("%s: called before the server has started\n", function);
	return to != NULL;
}

bool kn_message_fits(const char *function, struct kb_outbox *to, const struct kb_message *m)
{
	return has_started(function, to) && accepted(function, to, m, kb_outbox_room(to, (size_t)process_no, m));
}

int kn_message_send(const char *function, struct kb_outbox *to, const struct kb_message *m)
{
	bool sent = has_started(function, to) && accepted(function, to, m, kb_outbox_put(to, (size_t)process_no, m));
	return sent ? 1 : -1;
}
