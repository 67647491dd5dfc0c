#include "nats/outgoing.h"

#include "bus/traffic.h"
#include "nats/headers.h"
#include "nats/subject.h"
#include "core/clock.h"

enum {
	WRITE_BYTES = 64 * 1024, /* waiting, from which on publish() writes */
	UNSENT_MAX = 512 * 1024  /* still waiting then, from which on it takes no more */
};

/* *size: of the headers as they are sent. */
static const char *headers_fault(const struct kb_broker *b, const struct kb_message *m, size_t *size)
{
	const char *fault = kb_nats_headers_fault(m->headers, size);
	if (fault || !m->headers.n || b->link.info.headers)
		return fault;
	return m->origin.flags & KB_STORED
			   ? "publishing to a stream needs headers, which the server does not support (no_header_support)"
			   : "it has headers, which the server does not support (no_header_support)";
}

static bool acceptable(struct kb_broker *b, const struct kb_message *m)
{
	size_t headers = 0;
	const char *fault = kb_nats_subject_fault(m->key);
	const char *reply_fault = m->reply.n ? kb_nats_subject_fault(m->reply) : NULL;
	size_t reply = m->origin.flags & KB_STORED ? KB_NATS_STORE_INBOX_BYTES : m->reply.n;
	if (!fault && !reply_fault && m->key.n + reply > KB_NATS_LINE_MAX)
		fault = "too long together with the reply subject";
	if (fault || reply_fault) {
		kb_log_limited(&b->bad_subject, KB_LOG_ERROR, "nats: message dropped: invalid %s \"%.*s\": %s",
			fault ? "subject" : "reply subject", KB_SLICE_FMT(fault ? m->key : m->reply), fault ? fault : reply_fault);
		return false;
	}
	fault = headers_fault(b, m, &headers);
	if (fault) {
		kb_log_limited(
			&b->bad_headers, KB_LOG_ERROR, "nats: message to \"%.*s\" dropped: %s", KB_SLICE_FMT(m->key), fault);
		return false;
	}
	if (b->link.info.max_payload && headers + m->payload.n > b->link.info.max_payload) {
		kb_log_limited(&b->too_long, KB_LOG_ERROR,
			"nats: message to \"%.*s\" dropped: %zu bytes, the server accepts %zu (max_payload)", KB_SLICE_FMT(m->key),
			headers + m->payload.n, b->link.info.max_payload);
		return false;
	}
	return true;
}

static enum kb_broker_result put_message(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence)
{
	if (m->origin.flags & KB_STORED)
		return kb_nats_store_put(&b->store, &b->link, KB_NATS_STORE_SID, m, kb_clock_ms(), sequence);
	kb_nats_wire_put_message(&b->link.out, m);
	if (b->config.confirm && !(m->origin.flags & KB_EXPIRES))
		*sequence = kb_nats_receipts_number(&b->receipts);
	return KB_BROKER_OK;
}

enum kb_broker_result kb_nats_outgoing_publish(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence)
{
	*sequence = 0;
	if (b->link.up && kb_nats_link_waiting(&b->link) >= WRITE_BYTES) {
		kb_nats_receipts_ping(&b->receipts, &b->link, false, kb_clock_ms());
		kb_nats_link_write(&b->link);
	}
	if (!b->link.up || b->link.mute)
		return KB_BROKER_LOST;
	size_t before = kb_nats_link_waiting(&b->link);
	if (before >= UNSENT_MAX || b->leave_by)
		return KB_BROKER_AGAIN;
	if (!acceptable(b, m))
		return KB_BROKER_INVALID;
	enum kb_broker_result result = put_message(b, m, sequence);
	b->unread += kb_nats_link_waiting(&b->link) - before;
	b->published = true;
	if (result == KB_BROKER_OK)
		kb_traffic_sent(b->config.traffic, m->payload.n);
	return result;
}

void kb_nats_outgoing_renew(struct kb_broker *b)
{
	b->renewing = true;
}

void kb_nats_outgoing_renew_now(struct kb_broker *b)
{
	b->renewing = false;
	kb_nats_store_forget(&b->store);
	b->events.publish.requeue(b->events.context, KB_RENEWED, NULL);
}
