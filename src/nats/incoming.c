#include <inttypes.h>
#include <stdio.h>
#include "nats/state.h"
#include "bus/traffic.h"
#include "core/clock.h"

enum { READ_RARELY = 64 * 1024 /* bytes between two looks of a busy publisher at what the server says */ };

/* -- acknowledging deliveries -- */

static bool may_settle(const struct kb_broker *b, const struct kb_origin *origin)
{
	return b->link.up && b->offered.n && origin->generation == b->generation;
}

static void put_verdict(struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome, unsigned delay_ms)
{
	kb_nats_writer_take_back(b->writer);
	if (!may_settle(b, origin))
		return;
	kb_nats_put_verdict(&b->link.out, b->offered, outcome, delay_ms);
	kb_traffic_settled(b->config.traffic, origin, outcome);
	b->offered = kb_slice(NULL, 0);
}

/* To the writer, for as long as a route runs; without one, what waits is written before. */
static void lend(struct kb_broker *b)
{
	if (!b->writer)
		b->writer = kb_nats_writer_start(&b->link);
	if (b->writer)
		kb_nats_writer_lend(b->writer);
	else
		kb_nats_link_write(&b->link);
}

/* From inside of a route. */
static void write_now(struct kb_broker *b)
{
	kb_nats_link_write(&b->link);
	if (kb_nats_link_waiting(&b->link))
		lend(b);
}

static enum kb_broker_result state_of(const struct kb_broker *b)
{
	return b->link.up ? KB_BROKER_OK : KB_BROKER_LOST;
}

/* Of core NATS nothing is acknowledged. */
enum kb_broker_result kb_nats_settle(struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome)
{
	put_verdict(b, origin, outcome, 0);
	return state_of(b);
}

enum kb_broker_result kb_nats_settle_now(
	struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome, unsigned delay_ms)
{
	put_verdict(b, origin, outcome, delay_ms);
	write_now(b);
	return state_of(b);
}

enum kb_broker_result kb_nats_progress(struct kb_broker *b, const struct kb_origin *origin)
{
	kb_nats_writer_take_back(b->writer);
	if (may_settle(b, origin))
		kb_nats_put_progress(&b->link.out, b->offered);
	write_now(b);
	return state_of(b);
}

/* -- deliveries -- */

static void add_number(struct kb_buf *list, struct kb_slice name, uint64_t number)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%" PRIu64, number);
	kb_headers_add(list, name, kb_slice(text, (size_t)n));
}

/* Its reply subject is where it is acknowledged: nothing for a route to answer to. */
static void fill_stored(struct kb_broker *b, struct kb_message *m)
{
	struct kb_nats_stored stored;
	b->offered = kb_slice(NULL, 0);
	if (!kb_nats_stored_read(m->reply, &stored))
		return;
	b->offered = m->reply;
	m->reply = kb_slice(NULL, 0);
	m->origin.tag = stored.sequence;
	m->origin.flags = stored.delivered > 1 ? KB_REDELIVERED : 0;
	kb_headers_add(&b->properties, KB_SLICE_LITERAL("stream"), stored.stream);
	kb_headers_add(&b->properties, KB_SLICE_LITERAL("consumer"), stored.consumer);
	add_number(&b->properties, KB_SLICE_LITERAL("delivered"), stored.delivered);
	add_number(&b->properties, KB_SLICE_LITERAL("sequence"), stored.sequence);
	add_number(&b->properties, KB_SLICE_LITERAL("pending"), stored.pending);
	kb_traffic_pending(b->config.traffic, m->origin.subscription, stored.pending);
}

static void fill_message(
	struct kb_broker *b, const struct kb_nats_subscription *s, const struct kb_nats_op *op, struct kb_message *m)
{
	*m = (struct kb_message){.key = op->subject,
		.reply = op->reply,
		.payload = op->payload,
		.origin = {.subscription = s->index, .generation = b->generation, .broker = b->config.index}};
	kb_buf_clear(&b->headers);
	kb_buf_clear(&b->properties);
	if (!kb_nats_headers_read(op->headers, &b->headers, &b->properties))
		kb_log_limited(&b->broken_headers, KB_LOG_WARNING,
			"nats: delivery on \"%.*s\" goes on without its headers: they cannot be read", KB_SLICE_FMT(m->key));
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
		"nats: delivery on \"%.*s\" dropped: it has %zu bytes, and %zu are allowed", KB_SLICE_FMT(m->key), m->payload.n,
		b->config.message_max);
	kb_traffic_drop(b->config.traffic, &m->origin, KB_DROP_TOO_LARGE);
	return true;
}

/* What of a durable consumer is no message. */
static bool is_reply(struct kb_broker *b, struct kb_nats_subscription *s, const struct kb_message *m, int64_t now)
{
	bool news = false;
	if (!s->config->durable || !kb_nats_durable_heed(&s->durable, m, &b->link.out, now, &news))
		return false;
	if (news)
		kb_nats_report_durable(b, s);
	return true;
}

/* False: nobody had room for it. */
static bool offer_to(struct kb_broker *b, struct kb_nats_subscription *s, const struct kb_nats_op *op)
{
	struct kb_message m;
	fill_message(b, s, op, &m);
	int64_t now = s->config->durable ? kb_now_ms() : 0;
	if (is_reply(b, s, &m, now) || too_long(b, &m))
		return true;
	bool late = s->config->durable && kb_nats_durable_is_late(&s->durable, &m, b->link.heard_at, now);
	/* The route may take long: what those before it are acknowledged with does not wait for its end. */
	if (s->config->durable && !late && kb_nats_link_waiting(&b->link))
		lend(b);
	bool taken = late || b->events.consume.delivered(b->events.context, &m);
	kb_nats_writer_take_back(b->writer);
	b->offered = kb_slice(NULL, 0);
	if (!taken)
		return false;
	if (!late)
		kb_traffic_delivered(b->config.traffic, &m);
	if (s->config->durable && !b->leave_by)
		kb_nats_durable_taken(&s->durable, &b->link.out, kb_now_ms());
	return true;
}

static bool offer(struct kb_broker *b, const struct kb_nats_op *op)
{
	if (op->sid > 0 && op->sid <= b->n_subscriptions)
		return offer_to(b, &b->subscriptions[op->sid - 1], op);
	if (op->sid == KB_NATS_STORE_SID) {
		kb_buf_clear(&b->headers);
		kb_buf_clear(&b->properties);
		kb_nats_headers_read(op->headers, &b->headers, &b->properties);
		kb_nats_store_heed(&b->store, op->subject, op->payload, kb_buf_slice(&b->properties), kb_now_ms(), &b->events);
	}
	return true;
}

/* -- reading -- */

/* One of the messages on their way costs the connection: they go one at a time until it is found. For what its parser
 * does not understand nats-server has but one text, whatever its own log says. */
static bool is_offence(const char *what)
{
	static const char *const offences[] = {"Maximum Control Line", "Maximum Payload", "Unknown Protocol Operation",
		"Parser Error", "Invalid Publish Subject", "Invalid Subject"};
	for (size_t i = 0; i < sizeof offences / sizeof *offences; i++)
		if (strcasestr(what, offences[i]))
			return true;
	return false;
}

/* The subject in: Permissions Violation for Publish to "subject". Empty: it says something else. */
static struct kb_slice forbidden(struct kb_slice text)
{
	static const char words[] = "ermissions Violation for Publish to \"";
	const char *at = memmem(text.p, text.n, words, sizeof words - 1);
	const char *from = at ? at + sizeof words - 1 : NULL,
			   *end = at ? memrchr(from, '"', text.n - (size_t)(from - text.p)) : NULL;
	return end ? kb_slice(from, (size_t)(end - from)) : kb_slice(NULL, 0);
}

static bool has_open_messages(const struct kb_broker *b)
{
	return b->store.oldest < b->store.next || kb_nats_receipts_open(&b->receipts);
}

static void note_offence(struct kb_broker *b, struct kb_slice text, const char *what)
{
	struct kb_slice subject = forbidden(text);
	if (subject.n) {
		kb_traffic_note(b->config.traffic, forbidden);
		if (b->events.request.forbidden)
			b->events.request.forbidden(b->events.context, subject, what);
	}
	if (kb_slice_equal(subject, KB_SLICE_LITERAL("$JS.API.STREAM.NAMES"))) {
		b->store.blind = true;
	} else if (subject.n) {
		kb_nats_store_forbidden(&b->store, subject, what, &b->events);
	} else if (has_open_messages(b) && is_offence(what)) {
		kb_nats_store_forget(&b->store);
		kb_nats_receipts_offended(&b->receipts);
		b->events.publish.requeue(b->events.context, KB_OFFENDED, what);
	}
}

/* A NUL in the server's words would hide those behind it. */
static void copy_words(struct kb_slice text, char *to, size_t size)
{
	size_t n = text.n < size - 1 ? text.n : size - 1;
	for (size_t i = 0; i < n; i++)
		to[i] = text.p[i] ? text.p[i] : '?';
	to[n] = '\0';
}

static void note_error(struct kb_broker *b, struct kb_slice text)
{
	char what[256];
	int64_t now = kb_now_ms();
	copy_words(text, what, sizeof what);
	kb_log_limited(&b->reported, KB_LOG_ERROR, "nats: %s: %s", b->address, what);
	kb_nats_note_refusal(b, text, what, now);
	note_offence(b, text, what);
	if (!strstr(what, "ermissions Violation")) /* which never ends a connection */
		kb_nats_link_note_error(&b->link, what, now);
	if (strcasestr(what, "slow consumer"))
		kb_nats_note_slow_consumer(b);
}

static void note_pong(struct kb_broker *b)
{
	kb_nats_link_note_pong(&b->link);
	kb_nats_receipts_heed(&b->receipts, &b->link, &b->events);
}

/* What the server says of itself and the connection. */
static void heed(struct kb_broker *b, const struct kb_nats_op *op)
{
	if (op->kind == KB_NATS_PING)
		kb_nats_link_pong(&b->link);
	else if (op->kind == KB_NATS_ERR)
		note_error(b, op->text);
	else if (op->kind == KB_NATS_INFO)
		kb_nats_note_info(b, op);
	else if (op->kind == KB_NATS_PONG)
		note_pong(b);
}

/* Hands over what was read. False: some of it must wait for the next process(). */
static bool deliver(struct kb_broker *b, unsigned *left)
{
	struct kb_nats_op op;
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

/* A connection that only publishes hears little, and mostly when it is idle: looking costs a system call. */
static bool worth_reading(const struct kb_broker *b)
{
	return b->n_subscriptions || b->store.inbox[0] || !b->published || b->unread >= READ_RARELY || b->link.mute;
}

bool kb_nats_read_and_deliver(struct kb_broker *b, unsigned left)
{
	bool done = deliver(b, &left);
	if (!done || !left || !worth_reading(b))
		return done;
	do {
		b->unread = 0;
		kb_nats_link_read(&b->link, kb_now_ms());
		done = deliver(b, &left);
	} while (done && kb_nats_link_has_more(&b->link));
	return done;
}
