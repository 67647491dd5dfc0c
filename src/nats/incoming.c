#include "nats/incoming.h"

#include <inttypes.h>
#include <stdio.h>
#include "bus/traffic.h"
#include "nats/consumer.h"
#include "nats/errors.h"
#include "nats/headers.h"
#include "nats/lame_duck.h"
#include "nats/notices.h"
#include "nats/settle.h"
#include "nats/subscriptions.h"
#include "core/clock.h"

enum {
	READ_RARELY = 64 * 1024, /* bytes that a busy publisher sends between two reads */
	KEEP_BYTES = 64 * 1024   /* that a buffer for headers may keep */
};

/* -- deliveries -- */

static void add_number(struct kb_buf *list, struct kb_slice name, uint64_t number)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%" PRIu64, number);
	kb_headers_add(list, name, kb_slice(text, (size_t)n));
}

/* Its reply subject is where it is acknowledged: a route must not reply there. */
static void fill_stored(struct kb_broker *b, struct kb_message *m)
{
	struct kb_nats_consumer_delivery d;
	b->offered = kb_slice(NULL, 0);
	if (!kb_nats_consumer_delivery_read(m->reply, &d))
		return;
	b->offered = m->reply;
	m->reply = kb_slice(NULL, 0);
	m->origin.tag = d.sequence;
	m->origin.flags = d.delivered > 1 ? KB_REDELIVERED : 0;
	kb_headers_add(&b->properties, KB_SLICE_LITERAL("stream"), d.stream);
	kb_headers_add(&b->properties, KB_SLICE_LITERAL("consumer"), d.consumer);
	add_number(&b->properties, KB_SLICE_LITERAL("delivered"), d.delivered);
	add_number(&b->properties, KB_SLICE_LITERAL("sequence"), d.sequence);
	add_number(&b->properties, KB_SLICE_LITERAL("pending"), d.pending);
	kb_traffic_pending(b->config.traffic, m->origin.subscription, d.pending);
}

/* Memory for the headers of one long message is given back with the next one. */
static void clear(struct kb_buf *list)
{
	if (list->capacity > KEEP_BYTES)
		kb_buf_free(list);
	kb_buf_clear(list);
}

static void fill_message(
	struct kb_broker *b, const struct kb_nats_subscription *s, const struct kb_nats_wire_op *op, struct kb_message *m)
{
	*m = (struct kb_message){.key = op->subject,
		.reply = op->reply,
		.payload = op->payload,
		.origin = {.subscription = s->index, .generation = b->generation, .broker = b->config.index}};
	clear(&b->headers);
	clear(&b->properties);
	if (!kb_nats_headers_read(op->headers, &b->headers, &b->properties))
		kb_log_limited(&b->broken_headers, KB_LOG_WARNING,
			"nats: delivering message on \"%.*s\" without its headers: invalid header block", KB_SLICE_FMT(m->key));
	if (s->config->durable)
		fill_stored(b, m);
	m->headers = kb_buf_slice(&b->headers);
	m->properties = kb_buf_slice(&b->properties);
}

static bool too_long(struct kb_broker *b, const struct kb_message *m)
{
	if (!b->config.message_max || m->payload.n <= b->config.message_max)
		return false;
	kb_log_limited(&b->long_delivery, KB_LOG_ERROR,
		"nats: discarding message on \"%.*s\": %zu bytes, the limit is %zu bytes", KB_SLICE_FMT(m->key), m->payload.n,
		b->config.message_max);
	kb_traffic_drop(b->config.traffic, &m->origin, KB_DROP_TOO_LARGE);
	return true;
}

/* Status messages and replies of a durable consumer. */
static bool is_reply(struct kb_broker *b, struct kb_nats_subscription *s, const struct kb_message *m, int64_t now)
{
	bool news = false;
	if (!s->config->durable || !kb_nats_durable_heed(&s->durable, m, &b->link.out, now, &news))
		return false;
	if (news)
		kb_nats_subscriptions_report(b, s);
	return true;
}

/* False: there was no room for it. */
static bool offer_to(struct kb_broker *b, struct kb_nats_subscription *s, const struct kb_nats_wire_op *op)
{
	struct kb_message m;
	fill_message(b, s, op, &m);
	int64_t now = s->config->durable ? kb_clock_ms() : 0;
	if (is_reply(b, s, &m, now) || too_long(b, &m))
		return true;
	bool late = s->config->durable && kb_nats_durable_is_late(&s->durable, &m, b->link.heard_at, now);
	/* The route may take long: earlier acknowledgements do not wait for its end. */
	if (s->config->durable && !late && kb_nats_link_waiting(&b->link))
		kb_nats_settle_lend(b);
	bool taken = late || b->events.consume.delivered(b->events.context, &m);
	kb_nats_writer_take_back(b->writer);
	b->offered = kb_slice(NULL, 0);
	if (!taken)
		return false;
	if (!late)
		kb_traffic_delivered(b->config.traffic, &m);
	if (s->config->durable && !b->leave_by)
		kb_nats_durable_taken(&s->durable, &b->link.out, kb_clock_ms());
	return true;
}

static bool offer(struct kb_broker *b, const struct kb_nats_wire_op *op)
{
	if (op->sid > 0 && op->sid <= b->n_subscriptions)
		return offer_to(b, &b->subscriptions[op->sid - 1], op);
	if (op->sid == KB_NATS_STORE_SID) {
		clear(&b->headers);
		clear(&b->properties);
		kb_nats_headers_read(op->headers, &b->headers, &b->properties);
		kb_nats_store_heed(
			&b->store, op->subject, op->payload, kb_buf_slice(&b->properties), kb_clock_ms(), &b->events);
	}
	return true;
}

/* -- reading -- */

static void note_pong(struct kb_broker *b)
{
	kb_nats_link_note_pong(&b->link);
	kb_nats_receipts_heed(&b->receipts, &b->link, &b->events);
}

static void note_info(struct kb_broker *b, const struct kb_nats_wire_op *op)
{
	kb_nats_notices_info(b, op);
	kb_nats_lame_duck_note(b, kb_clock_ms());
}

/* Operations about the server and the connection. */
static void heed(struct kb_broker *b, const struct kb_nats_wire_op *op)
{
	if (op->kind == KB_NATS_PING)
		kb_nats_link_pong(&b->link);
	else if (op->kind == KB_NATS_ERR)
		kb_nats_errors_heed(b, op->text, kb_clock_ms());
	else if (op->kind == KB_NATS_INFO)
		note_info(b, op);
	else if (op->kind == KB_NATS_PONG)
		note_pong(b);
}

/* Handles what was read. False: some of it must wait for the next process(). */
static bool deliver(struct kb_broker *b, unsigned *left)
{
	struct kb_nats_wire_op op = {0};
	size_t size;
	b->held = false;
	while (b->link.up && kb_nats_link_peek(&b->link, &op, &size)) {
		if (op.kind != KB_NATS_MSG)
			heed(b, &op);
		else if (!*left)
			return false;
		else if (b->held = !offer(b, &op), b->held)
			return false;
		else
			--*left;
		kb_nats_link_take(&b->link, size);
	}
	return true;
}

/* A connection that only publishes receives little, and mostly while it is idle. A read costs a system call. */
static bool worth_reading(const struct kb_broker *b)
{
	return b->n_subscriptions || b->store.inbox[0] || !b->published || b->unread >= READ_RARELY || b->link.mute;
}

bool kb_nats_incoming_process(struct kb_broker *b, unsigned left)
{
	bool done = deliver(b, &left);
	if (!done || !left || !worth_reading(b))
		return done;
	do {
		b->unread = 0;
		kb_nats_link_read(&b->link, kb_clock_ms());
		done = deliver(b, &left);
	} while (done && kb_nats_link_has_more(&b->link));
	return done;
}
