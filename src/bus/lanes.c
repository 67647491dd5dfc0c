#include "bus/lanes.h"

#include <stdlib.h>
#include "bus/flights.h"
#include "bus/traffic.h"
#include "core/clock.h"

enum { RENEW_PATIENCE_MS = 1000 /* for the confirms of what is in flight, before a channel is given up */ };

bool kb_lanes_open(const struct kb_publishing *l)
{
	return !l->blocked && !l->renew_since && !l->renewing && l->next - l->oldest < (l->step_left ? 1 : KB_WINDOW);
}

static void count_settled_at_once(struct kb_connection *c, enum kb_broker_result result, bool expired)
{
	if (result == KB_BROKER_OK)
		kb_traffic_note(c, sent_only);
	else if (expired)
		kb_traffic_note(c, expired);
	else
		kb_traffic_note(c, invalid);
}

/* True when the message is for an exchange that it waits for, or does not wait for any more. */
static bool has_no_exchange(
	struct kb_publishing *l, struct kb_lane *lane, struct kb_record *record, const struct kb_message *m)
{
	const char *why = NULL;
	if (!l->exchanges || !kb_exchanges_any(l->exchanges) || (m->origin.flags & KB_EXPIRES))
		return false;
	enum kb_exchange_verdict verdict =
		kb_exchanges_verdict(l->exchanges, m->exchange, (size_t)(lane - l->lanes), lane->cursor, kb_clock_ms(), &why);
	lane->waits = verdict == KB_EXCHANGE_WAIT;
	if (verdict == KB_EXCHANGE_MISSING)
		kb_flights_refuse_unsent(l, lane, record, why);
	return verdict != KB_EXCHANGE_SEND;
}

/* A message that is settled with the call that sends it, or that is never sent. `m` is NULL when there is no more to
 * say of it: it is damaged, or expired. */
static void settle_at_once(struct kb_publishing *l, struct kb_lane *lane, struct kb_record *record,
	const struct kb_message *m, enum kb_broker_result result)
{
	const struct kb_publisher *p = l->p;
	if (m && result == KB_BROKER_OK && p->sent)
		p->sent(p->context, m);
	if (m && result == KB_BROKER_INVALID && p->unsendable)
		p->unsendable(p->context, m);
	if (m && result == KB_BROKER_INVALID)
		kb_own_event_message(&l->own, "refused", m, "too long for the protocol");
	l->settled_any = true;
	kb_ring_settle(lane->ring, record, result == KB_BROKER_OK ? KB_DONE : KB_REJECTED);
	kb_flights_stepped(l, 1);
}

/* Nobody waits for the reply any more. */
static bool is_expired(const struct kb_message *m)
{
	return (m->origin.flags & KB_EXPIRES) && (uint64_t)kb_clock_ms() > m->origin.tag;
}

/* One record to the broker. False: not now, the cursor must go back. */
static bool send_record(struct kb_publishing *l, struct kb_lane *lane, struct kb_record *record)
{
	struct kb_message m;
	uint64_t sequence = 0;
	enum kb_broker_result result = KB_BROKER_INVALID;
	bool good = kb_message_decode(record->data, record->size, &m), expired = good && is_expired(&m);
	if (good && has_no_exchange(l, lane, record, &m))
		return !lane->waits;
	if (good && !expired)
		result = l->p->api->publish->publish(l->broker, &m, &sequence);
	if (result == KB_BROKER_AGAIN || result == KB_BROKER_LOST)
		return false;
	kb_pace_note(&l->pace, 1);
	if (result == KB_BROKER_INVALID || sequence == 0) {
		count_settled_at_once(l->p->config.traffic, result, expired);
		settle_at_once(l, lane, record, good && !expired ? &m : NULL, result);
		return true;
	}
	if (l->exchanges)
		kb_exchanges_used(l->exchanges, m.exchange);
	kb_flights_take_off(l, lane, record, sequence);
	return true;
}

static bool holds(const struct kb_lane *lane)
{
	return lane->waits || kb_retry_holds(&lane->retry, lane->in_flight);
}

/* Up to `batch` messages of one lane. False: the broker or the window takes no more. */
static bool send_lane(struct kb_publishing *l, struct kb_lane *lane)
{
	for (unsigned i = 0; i < l->p->batch && !holds(lane); i++) {
		if (!kb_lanes_open(l))
			return false;
		uint64_t before = lane->cursor;
		struct kb_record *record = kb_ring_next(lane->ring, &lane->cursor);
		if (!record)
			return true;
		if (!send_record(l, lane, record)) {
			lane->cursor = before;
			return lane->waits; /* the others do not */
		}
	}
	return true;
}

void kb_lanes_send(struct kb_publishing *l)
{
	for (size_t i = 0; i < l->n_lanes; i++) {
		if (!send_lane(l, &l->lanes[l->turn]))
			return;
		l->turn = (l->turn + 1) % l->n_lanes;
	}
}

bool kb_lanes_have_work(const struct kb_publishing *l)
{
	for (size_t i = 0; i < l->n_lanes; i++)
		if (!holds(&l->lanes[i]) && kb_ring_has_next(l->lanes[i].ring, l->lanes[i].cursor))
			return true;
	return false;
}

void kb_lanes_renew_when_due(struct kb_publishing *l)
{
	int64_t now = kb_clock_ms();
	bool due = false;
	for (size_t i = 0; i < l->n_lanes; i++)
		due = due || kb_retry_due(&l->lanes[i].retry, now);
	if (!due || l->renewing)
		return;
	if (!l->renew_since)
		l->renew_since = now;
	if (l->oldest < l->next && now - l->renew_since < RENEW_PATIENCE_MS)
		return;
	if (l->p->api->publish->renew) {
		l->renewing = true;
		l->p->api->publish->renew(l->broker);
	} else {
		kb_flights_rewind(l);
	}
}

/* -- exchanges -- */

static void wake_waiting_lanes(struct kb_publishing *l)
{
	for (size_t i = 0; i < l->n_lanes; i++)
		l->lanes[i].waits = false;
}

void kb_lanes_on_exchange(void *context, bool missing, const char *why)
{
	struct kb_publishing *l = context;
	if (kb_exchanges_lookup_done(l->exchanges, missing, why, kb_clock_ms()))
		kb_log_limited(
			&l->awaited, KB_LOG_WARNING, "%s: holding messages until their exchange exists: %s", l->p->api->name, why);
	wake_waiting_lanes(l);
}

void kb_lanes_look_up_exchange(struct kb_publishing *l)
{
	struct kb_slice exchange;
	if (!l->exchanges || !kb_exchanges_next(l->exchanges, kb_clock_ms(), &exchange))
		return;
	for (size_t i = 0; i < l->n_lanes; i++)
		l->written[i] = kb_ring_written(l->lanes[i].ring);
	kb_exchanges_lookup_sent(l->exchanges, l->written);
	if (l->p->api->publish->look_up_exchange(l->broker, exchange) == KB_BROKER_INVALID) {
		kb_exchanges_lookup_done(l->exchanges, false, NULL, kb_clock_ms()); /* the next message will tell */
		wake_waiting_lanes(l);
	}
}

void kb_lanes_expect_exchanges(struct kb_publishing *l)
{
	kb_exchanges_connected(l->exchanges, kb_clock_ms());
	for (size_t i = 0; i < l->p->n_subscriptions; i++) {
		const struct kb_subscription *s = &l->p->subscriptions[i];
		kb_exchanges_expect(l->exchanges, kb_slice_from(s->exchange.name));
		for (size_t j = 0; j < s->n_exchange_bindings; j++)
			kb_exchanges_expect(l->exchanges, kb_slice_from(s->exchange_bindings[j].source.name));
	}
}

bool kb_lanes_make_exchanges(struct kb_publishing *l, size_t writers)
{
	if (!l->p->api->publish->look_up_exchange)
		return true;
	l->exchanges = kb_exchanges_new(writers, l->p->retry_ms);
	l->written = calloc(writers, sizeof *l->written);
	return l->exchanges && l->written;
}

int kb_lanes_until_due(const struct kb_publishing *l, int ms)
{
	int64_t now = kb_clock_ms();
	for (size_t i = 0; i < l->n_lanes && !l->renewing; i++) {
		const struct kb_retry *r = &l->lanes[i].retry;
		if (r->held && now + ms > r->resume_at)
			ms = r->resume_at > now ? (int)(r->resume_at - now) : l->renew_since ? KB_DRAIN_TICK_MS : 0;
	}
	return l->exchanges ? kb_exchanges_until(l->exchanges, now, ms) : ms;
}
