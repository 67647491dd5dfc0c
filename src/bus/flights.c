#include "bus/flights.h"

#include <inttypes.h>
#include <stdio.h>
#include "bus/traffic.h"
#include "core/clock.h"
#include "core/counter.h"

enum { DESTINATION_BYTES = 512 };

/* Where a message goes, for log lines. */
static const char *destination(const struct kb_publishing *l, const struct kb_message *m, char to[DESTINATION_BYTES])
{
	if (l->p->api->publish->has_exchanges)
		snprintf(to, DESTINATION_BYTES, "exchange \"%.*s\" with routing key \"%.*s\"", KB_SLICE_FMT(m->exchange),
			KB_SLICE_FMT(m->key));
	else
		snprintf(to, DESTINATION_BYTES, "\"%.*s\"", KB_SLICE_FMT(m->key));
	return to;
}

static void tell_rejected(struct kb_publishing *l, const struct kb_record *record, const char *reason)
{
	struct kb_message m;
	char to[DESTINATION_BYTES];
	reason = reason ? reason : "rejected by the broker";
	if (!kb_message_decode(record->data, record->size, &m))
		return;
	kb_log_limited(&l->rejected, KB_LOG_ERROR, "%s: message to %s (%zu bytes) dropped: %s", l->p->api->name,
		destination(l, &m, to), m.payload.n, reason);
	kb_own_event_message(&l->own, "refused", &m, reason);
}

static struct kb_flight *at(struct kb_publishing *l, uint64_t sequence)
{
	return &l->flights[sequence & (KB_WINDOW - 1)];
}

static void land(struct kb_flight *f)
{
	f->record = NULL;
	f->lane->in_flight -= f->n;
}

/* A bus with config.confirm tells only that the broker has read messages, and which ones it will not read. */
static void count_settled(const struct kb_publisher *p, bool rejected, unsigned n)
{
	struct kb_connection *c = p->config.traffic;
	if (c && p->config.confirm)
		kb_counter_add(rejected ? &c->invalid : &c->sent_only, n);
	else if (c)
		kb_counter_add(rejected ? &c->rejected : &c->confirmed, n);
}

void kb_flights_stepped(struct kb_publishing *l, unsigned n)
{
	l->step_left -= l->step_left < n ? l->step_left : n;
}

static void settle(struct kb_publishing *l, uint64_t sequence, enum kb_outcome outcome, const char *reason)
{
	struct kb_flight *f = at(l, sequence);
	if (!f->record)
		return;
	count_settled(l->p, outcome == KB_REJECTED, f->n);
	if (outcome == KB_REJECTED) {
		tell_rejected(l, f->record, reason);
	} else {
		kb_retry_confirmed(&f->lane->retry);
		outcome = f->returned ? KB_REJECTED : outcome;
	}
	l->settled_any = true;
	if (f->n > 1)
		kb_ring_settle_up_to(f->lane->ring, f->end);
	else
		kb_ring_settle(f->lane->ring, f->record, outcome);
	land(f);
	kb_flights_stepped(l, f->n);
}

static void log_refused(struct kb_publishing *l, const struct kb_record *record, const char *reason)
{
	struct kb_message m;
	char to[DESTINATION_BYTES];
	if (kb_message_decode(record->data, record->size, &m))
		kb_log_limited(&l->refused, KB_LOG_WARNING, "%s: sending message to %s again: %s", l->p->api->name,
			destination(l, &m, to), reason ? reason : "rejected by the broker");
}

/* Perhaps only for now: the message stays in its ring, and those behind it do too. */
static void refuse(struct kb_publishing *l, uint64_t sequence, const char *reason)
{
	struct kb_flight *f = at(l, sequence);
	if (!f->record)
		return;
	if (!kb_retry_refused(&f->lane->retry, kb_clock_ms(), l->p->retry_ms)) {
		settle(l, sequence, KB_REJECTED, reason);
		return;
	}
	log_refused(l, f->record, reason);
	land(f);
}

/* True when the broker sends back what is in the record; a payload that is too long for an event does not come. */
static bool is_same(const struct kb_record *record, const struct kb_message *m)
{
	struct kb_message sent;
	return kb_message_decode(record->data, record->size, &sent) && kb_slice_equal(sent.key, m->key) &&
		   kb_slice_equal(sent.exchange, m->exchange) && (!m->payload.n || kb_slice_equal(sent.payload, m->payload));
}

/* A return names no sequence; payloads differ at least in their Msg-ID. */
void kb_flights_on_returned(void *context, const struct kb_message *m, const char *reason)
{
	struct kb_publishing *l = context;
	char to[DESTINATION_BYTES];
	kb_log_limited(&l->returned, KB_LOG_WARNING, "%s: message to %s returned, no queue is bound for it: %s",
		l->p->api->name, destination(l, m, to), reason);
	for (uint64_t s = l->oldest; s < l->next; s += at(l, s)->n) {
		struct kb_flight *f = at(l, s);
		if (!f->record || f->returned || !is_same(f->record, m))
			continue;
		f->returned = true;
		break;
	}
	kb_own_event_message(&l->own, "returned", m, reason);
}

uint64_t kb_flights_rewind(struct kb_publishing *l)
{
	uint64_t open = 0;
	for (; l->oldest < l->next; l->oldest += at(l, l->oldest)->n)
		open += at(l, l->oldest)->record ? at(l, l->oldest)->n : 0;
	for (size_t i = 0; i < l->n_lanes; i++) {
		l->lanes[i].cursor = kb_ring_cursor(l->lanes[i].ring);
		l->lanes[i].in_flight = 0;
		l->lanes[i].waits = false;
		kb_retry_resume(&l->lanes[i].retry);
	}
	l->renew_since = 0;
	l->renewing = false;
	return open;
}

/* Puts the exchanges of all open messages in doubt. False: none of them needs a lookup. */
static bool doubt_exchanges(struct kb_publishing *l)
{
	bool doubted = false;
	struct kb_message m;
	for (uint64_t s = l->oldest; l->exchanges && s < l->next; s += at(l, s)->n) {
		const struct kb_record *record = at(l, s)->record;
		if (record && kb_message_decode(record->data, record->size, &m) && m.exchange.n)
			doubted |= kb_exchanges_doubt(l->exchanges, m.exchange, kb_clock_ms());
	}
	return doubted;
}

/* The message that costs the channel is found. */
static void end_stepping(struct kb_publishing *l, enum kb_requeue_cause cause, const char *reason)
{
	if (cause == KB_BROKER_FAILED)
		refuse(l, l->oldest, reason);
	else
		settle(l, l->oldest, KB_REJECTED, reason);
	l->step_left = 0;
}

/* Unless we renewed the channel, one of the open messages is the reason, and none of them arrived. */
void kb_flights_on_requeue(void *context, enum kb_requeue_cause cause, const char *reason)
{
	struct kb_publishing *l = context;
	bool alone = l->step_left && l->next - l->oldest == 1;
	bool step = cause != KB_RENEWED && !(cause == KB_NO_EXCHANGE && doubt_exchanges(l));
	if (step && alone)
		end_stepping(l, cause, reason);
	uint64_t open = kb_flights_rewind(l);
	if (step && !alone && open > l->step_left)
		l->step_left = open;
}

void kb_flights_on_settled(void *context, uint64_t sequence, bool multiple, enum kb_outcome outcome, const char *reason)
{
	struct kb_publishing *l = context;
	if (sequence < l->oldest || sequence >= l->next) {
		kb_log_limited(&l->odd, KB_LOG_WARNING, "%s: ignoring confirm for message %" PRIu64 ", which is not in flight",
			l->p->api->name, sequence);
		return;
	}
	for (uint64_t s = multiple ? l->oldest : sequence; s <= sequence; s += at(l, s)->n) {
		if (s + at(l, s)->n - 1 > sequence)
			break; /* a run waits for its last one */
		if (outcome == KB_PENDING)
			refuse(l, s, reason);
		else
			settle(l, s, outcome, reason);
	}
	while (l->oldest < l->next && !at(l, l->oldest)->record)
		l->oldest += at(l, l->oldest)->n;
}

void kb_flights_take_off(struct kb_publishing *l, struct kb_lane *lane, struct kb_record *record, uint64_t sequence)
{
	struct kb_flight *last = at(l, l->newest);
	bool more = l->p->config.confirm && l->oldest < l->next && last->record && last->lane == lane && last->n < KB_RUN;
	if (l->oldest == l->next)
		l->oldest = sequence;
	if (more) {
		last->n++;
		last->end = lane->cursor;
	} else {
		*at(l, sequence) = (struct kb_flight){.lane = lane, .record = record, .end = lane->cursor, .n = 1};
		l->newest = sequence;
	}
	l->next = sequence + 1;
	lane->in_flight++;
}

void kb_flights_refuse_unsent(struct kb_publishing *l, struct kb_lane *lane, struct kb_record *record, const char *why)
{
	count_settled(l->p, true, 1);
	tell_rejected(l, record, why);
	l->settled_any = true;
	kb_ring_settle(lane->ring, record, KB_REJECTED);
	kb_flights_stepped(l, 1);
}
