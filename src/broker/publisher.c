#include "broker/publisher.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include "broker/backoff.h"
#include "broker/exchanges.h"
#include "broker/own_event.h"
#include "broker/pace.h"
#include "broker/retry.h"
#include "broker/traffic.h"
#include "core/clock.h"
#include "core/log.h"

enum {
	WINDOW = 8192, /* messages sent and not settled; a power of two */
	RUN = 64,      /* of them, those of one lane that are settled together where no one of them has its own outcome */
	TICK_MS = 1000,
	DRAIN_TICK_MS = 20,
	RENEW_PATIENCE_MS = 1000 /* for the confirms of what is on its way, before a channel is given up */
};

/* One ring of the outbox that this publisher serves. */
struct lane {
	struct kb_ring *ring;
	uint64_t cursor;
	uint64_t under_way; /* its open flights */
	bool waits;         /* its next message is for an exchange that is in doubt */
	struct kb_retry retry;
};

/* A message that the broker has, or will have, and has not confirmed; or a run of them. */
struct flight {
	struct lane *lane;
	struct kb_record *record; /* the first; NULL once settled */
	uint64_t end;             /* the cursor behind the last */
	unsigned n;
	bool returned; /* it reached no queue */
};

struct loop {
	const struct kb_publisher *p;
	struct kb_broker *broker;
	struct lane *lanes;
	size_t n_lanes, turn; /* turn: the lane that is served next */
	struct flight flights[WINDOW];
	uint64_t oldest, next; /* sequences: open flights are those in [oldest, next) */
	uint64_t newest;       /* that of the last flight, which may be a run */

	/* After the broker closed the channel over one of the messages on their way, those are sent again one at a time, so
	 * that the guilty one is found and the others are not lost with it. */
	uint64_t step_left;

	struct kb_exchanges *exchanges; /* NULL: the broker has none */
	uint64_t *written;              /* by each lane's writer, when an exchange is asked for */

	/* Refused messages are sent again on a new channel: RabbitMQ 3.10 refuses all that comes for a quorum queue on a
	 * channel that first published to it while it had no leader. */
	int64_t renew_since; /* ms; when sending stopped for that, 0: not now */
	bool renewing;       /* the channel is being replaced */
	bool connected, blocked;
	bool silent;         /* the broker has said nothing since it was last read */
	bool settled_any;    /* since the writers that wait for an outcome were last woken */
	int64_t drain_until; /* ms; 0 until the loop is asked to stop */
	struct kb_backoff backoff;
	struct kb_pace pace;
	struct kb_log_limit rejected, refused, returned, odd, unsendable, awaited;
	struct kb_own_events own;
};

static bool all_settled(const struct loop *l)
{
	for (size_t i = 0; i < l->n_lanes; i++)
		if (!kb_ring_empty(l->lanes[i].ring))
			return false;
	return true;
}

/* True once the loop is to end: asked to, and nothing left that could still be delivered. */
static bool finished(struct loop *l)
{
	if (!l->p->stop || !*l->p->stop)
		return false;
	if (!l->drain_until)
		l->drain_until = kb_now_ms() + l->p->drain_ms;
	return !l->connected || all_settled(l) || kb_now_ms() >= l->drain_until;
}

static struct flight *flight(struct loop *l, uint64_t sequence)
{
	return &l->flights[sequence & (WINDOW - 1)];
}

/* -- outcomes -- */

enum { DESTINATION_BYTES = 512 };

/* Where a message goes, for log lines. */
static const char *destination(const struct loop *l, const struct kb_message *m, char to[DESTINATION_BYTES])
{
	if (l->p->api->has_exchanges)
		snprintf(to, DESTINATION_BYTES, "exchange \"%.*s\" with routing key \"%.*s\"", KB_SLICE_FMT(m->exchange),
			KB_SLICE_FMT(m->key));
	else
		snprintf(to, DESTINATION_BYTES, "\"%.*s\"", KB_SLICE_FMT(m->key));
	return to;
}

static void tell_rejected(struct loop *l, const struct kb_record *record, const char *reason)
{
	struct kb_message m;
	char to[DESTINATION_BYTES];
	reason = reason ? reason : "refused by the broker";
	if (!kb_message_decode(record->data, record->size, &m))
		return;
	kb_log_limited(&l->rejected, KB_LOG_ERROR, "%s: message to %s (%zu bytes) dropped: %s", l->p->api->name,
		destination(l, &m, to), m.payload.n, reason);
	kb_own_event_message(&l->own, "refused", &m, reason);
}

static void land(struct flight *f)
{
	f->record = NULL;
	f->lane->under_way -= f->n;
}

/* Of core NATS it is only known that the server has read them, and that it will not read those that cost the
 * connection. */
static void count_settled(const struct kb_publisher *p, bool rejected, unsigned n)
{
	struct kb_connection *c = p->config.traffic;
	if (c && p->config.confirm)
		kb_count(rejected ? &c->invalid : &c->sent_only, n);
	else if (c)
		kb_count(rejected ? &c->rejected : &c->confirmed, n);
}

static void settle(struct loop *l, uint64_t sequence, enum kb_outcome outcome, const char *reason)
{
	struct flight *f = flight(l, sequence);
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
	l->step_left -= l->step_left < f->n ? l->step_left : f->n;
}

static void log_refused(struct loop *l, const struct kb_record *record, const char *reason)
{
	struct kb_message m;
	char to[DESTINATION_BYTES];
	if (kb_message_decode(record->data, record->size, &m))
		kb_log_limited(&l->refused, KB_LOG_WARNING, "%s: message to %s to be sent again: %s", l->p->api->name,
			destination(l, &m, to), reason ? reason : "refused by the broker");
}

/* Perhaps only for now: it stays in its ring, and those behind it too. */
static void refuse(struct loop *l, uint64_t sequence, const char *reason)
{
	struct flight *f = flight(l, sequence);
	if (!f->record)
		return;
	if (!kb_retry_refused(&f->lane->retry, kb_now_ms(), l->p->retry_ms)) {
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
static void on_returned(void *context, const struct kb_message *m, const char *reason)
{
	struct loop *l = context;
	char to[DESTINATION_BYTES];
	kb_log_limited(&l->returned, KB_LOG_WARNING, "%s: message to %s reached no queue: %s", l->p->api->name,
		destination(l, m, to), reason);
	for (uint64_t s = l->oldest; s < l->next; s += flight(l, s)->n) {
		struct flight *f = flight(l, s);
		if (!f->record || f->returned || !is_same(f->record, m))
			continue;
		f->returned = true;
		break;
	}
	kb_own_event_message(&l->own, "returned", m, reason);
}

static void on_blocked(void *context, bool blocked, const char *reason)
{
	struct loop *l = context;
	l->blocked = blocked;
	kb_own_event_connection(&l->own, blocked ? "blocked" : "unblocked", reason);
}

/* Forgets the open flights and goes back to the first message of each lane that is not settled. */
static uint64_t rewind_lanes(struct loop *l)
{
	uint64_t open = 0;
	for (; l->oldest < l->next; l->oldest += flight(l, l->oldest)->n)
		open += flight(l, l->oldest)->record ? flight(l, l->oldest)->n : 0;
	for (size_t i = 0; i < l->n_lanes; i++) {
		l->lanes[i].cursor = kb_ring_cursor(l->lanes[i].ring);
		l->lanes[i].under_way = 0;
		l->lanes[i].waits = false;
		kb_retry_resume(&l->lanes[i].retry);
	}
	l->renew_since = 0;
	l->renewing = false;
	return open;
}

/* The exchanges of all open messages. False: there is none among them that is worth to be asked for. */
static bool doubt_exchanges(struct loop *l)
{
	bool doubted = false;
	struct kb_message m;
	for (uint64_t s = l->oldest; l->exchanges && s < l->next; s += flight(l, s)->n) {
		const struct kb_record *record = flight(l, s)->record;
		if (record && kb_message_decode(record->data, record->size, &m) && m.exchange.n)
			doubted |= kb_exchanges_doubt(l->exchanges, m.exchange, kb_now_ms());
	}
	return doubted;
}

/* The guilty message is found. */
static void end_stepping(struct loop *l, enum kb_requeue_cause cause, const char *reason)
{
	if (cause == KB_BROKER_FAILED)
		refuse(l, l->oldest, reason);
	else
		settle(l, l->oldest, KB_REJECTED, reason);
	l->step_left = 0;
}

/* Unless we renewed the channel, none of the open messages arrived: one of them offended the broker. */
static void on_requeue(void *context, enum kb_requeue_cause cause, const char *reason)
{
	struct loop *l = context;
	bool alone = l->step_left && l->next - l->oldest == 1;
	bool step = cause != KB_RENEWED && !(cause == KB_NO_EXCHANGE && doubt_exchanges(l));
	if (step && alone)
		end_stepping(l, cause, reason);
	uint64_t open = rewind_lanes(l);
	if (step && !alone && open > l->step_left)
		l->step_left = open;
}

static void on_settled(void *context, uint64_t sequence, bool multiple, enum kb_outcome outcome, const char *reason)
{
	struct loop *l = context;
	if (sequence < l->oldest || sequence >= l->next) {
		kb_log_limited(&l->odd, KB_LOG_WARNING, "%s: confirm for message %" PRIu64 ", which is not open",
			l->p->api->name, sequence);
		return;
	}
	for (uint64_t s = multiple ? l->oldest : sequence; s <= sequence; s += flight(l, s)->n) {
		if (s + flight(l, s)->n - 1 > sequence)
			break; /* a run waits for its last one */
		if (outcome == KB_PENDING)
			refuse(l, s, reason);
		else
			settle(l, s, outcome, reason);
	}
	while (l->oldest < l->next && !flight(l, l->oldest)->record)
		l->oldest += flight(l, l->oldest)->n;
}

/* -- sending -- */

static bool window_open(const struct loop *l)
{
	return !l->blocked && !l->renew_since && !l->renewing && l->next - l->oldest < (l->step_left ? 1 : WINDOW);
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

static void take_off(struct loop *l, struct lane *lane, struct kb_record *record, uint64_t sequence)
{
	struct flight *last = flight(l, l->newest);
	bool more = l->p->config.confirm && l->oldest < l->next && last->record && last->lane == lane && last->n < RUN;
	if (l->oldest == l->next)
		l->oldest = sequence;
	if (more) {
		last->n++;
		last->end = lane->cursor;
	} else {
		*flight(l, sequence) = (struct flight){.lane = lane, .record = record, .end = lane->cursor, .n = 1};
		l->newest = sequence;
	}
	l->next = sequence + 1;
	lane->under_way++;
}

static void settle_missing(struct loop *l, struct lane *lane, struct kb_record *record, const char *why)
{
	count_settled(l->p, true, 1);
	tell_rejected(l, record, why);
	l->settled_any = true;
	kb_ring_settle(lane->ring, record, KB_REJECTED);
}

/* True when the message is for an exchange that it waits for, or does not wait for any more. */
static bool has_no_exchange(struct loop *l, struct lane *lane, struct kb_record *record, const struct kb_message *m)
{
	const char *why = NULL;
	if (!l->exchanges || !kb_exchanges_any(l->exchanges) || (m->origin.flags & KB_EXPIRES))
		return false;
	enum kb_exchange_verdict verdict =
		kb_exchanges_verdict(l->exchanges, m->exchange, (size_t)(lane - l->lanes), lane->cursor, kb_now_ms(), &why);
	lane->waits = verdict == KB_EXCHANGE_WAIT;
	if (verdict == KB_EXCHANGE_MISSING)
		settle_missing(l, lane, record, why);
	return verdict != KB_EXCHANGE_SEND;
}

/* One record to the broker. False: not now, the cursor must go back. */
static bool send_record(struct loop *l, struct lane *lane, struct kb_record *record)
{
	struct kb_message m;
	uint64_t sequence = 0;
	enum kb_broker_result result = KB_BROKER_INVALID;
	bool good = kb_message_decode(record->data, record->size, &m);
	bool expired =
		good && (m.origin.flags & KB_EXPIRES) && (uint64_t)kb_now_ms() > m.origin.tag; /* its asker has gone */
	if (good && has_no_exchange(l, lane, record, &m))
		return !lane->waits;
	if (good && !expired)
		result = l->p->api->publish(l->broker, &m, &sequence);
	if (result == KB_BROKER_AGAIN || result == KB_BROKER_LOST)
		return false;
	kb_pace_note(&l->pace, 1);
	if (result == KB_BROKER_INVALID || sequence == 0) {
		count_settled_at_once(l->p->config.traffic, result, expired);
		if (result == KB_BROKER_OK && l->p->sent)
			l->p->sent(l->p->context, &m);
		if (result == KB_BROKER_INVALID && good && !expired && l->p->unsendable)
			l->p->unsendable(l->p->context, &m);
		if (result == KB_BROKER_INVALID && good && !expired)
			kb_own_event_message(&l->own, "refused", &m, "longer than the protocol allows");
		l->settled_any = true;
		kb_ring_settle(lane->ring, record, result == KB_BROKER_OK ? KB_DONE : KB_REJECTED);
		return true;
	}
	if (l->exchanges)
		kb_exchanges_used(l->exchanges, m.exchange);
	take_off(l, lane, record, sequence);
	return true;
}

static bool holds(const struct lane *lane)
{
	return lane->waits || kb_retry_holds(&lane->retry, lane->under_way);
}

/* Up to `batch` messages of one lane. False: the broker or the window takes no more. */
static bool send_lane(struct loop *l, struct lane *lane)
{
	for (unsigned i = 0; i < l->p->batch && !holds(lane); i++) {
		if (!window_open(l))
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

/* Each lane in turn, beginning where the last call stopped. */
static void send_lanes(struct loop *l)
{
	for (size_t i = 0; i < l->n_lanes; i++) {
		if (!send_lane(l, &l->lanes[l->turn]))
			return;
		l->turn = (l->turn + 1) % l->n_lanes;
	}
}

static bool has_work(const struct loop *l)
{
	for (size_t i = 0; i < l->n_lanes; i++)
		if (!holds(&l->lanes[i]) && kb_ring_has_next(l->lanes[i].ring, l->lanes[i].cursor))
			return true;
	return false;
}

/* Refused messages have their next try on a new channel, once all that is on its way has its outcome. */
static void renew_when_due(struct loop *l)
{
	int64_t now = kb_now_ms();
	bool due = false;
	for (size_t i = 0; i < l->n_lanes; i++)
		due = due || kb_retry_due(&l->lanes[i].retry, now);
	if (!due || l->renewing)
		return;
	if (!l->renew_since)
		l->renew_since = now;
	if (l->oldest < l->next && now - l->renew_since < RENEW_PATIENCE_MS)
		return;
	if (l->p->api->renew) {
		l->renewing = true;
		l->p->api->renew(l->broker);
	} else {
		rewind_lanes(l);
	}
}

/* -- exchanges -- */

static void wake_waiting_lanes(struct loop *l)
{
	for (size_t i = 0; i < l->n_lanes; i++)
		l->lanes[i].waits = false;
}

static void on_exchange(void *context, bool missing, const char *why)
{
	struct loop *l = context;
	if (kb_exchanges_answered(l->exchanges, missing, why, kb_now_ms()))
		kb_log_limited(&l->awaited, KB_LOG_WARNING, "%s: messages wait for their exchange: %s", l->p->api->name, why);
	wake_waiting_lanes(l);
}

static void ask_for_exchange(struct loop *l)
{
	struct kb_slice exchange;
	if (!l->exchanges || !kb_exchanges_next(l->exchanges, kb_now_ms(), &exchange))
		return;
	for (size_t i = 0; i < l->n_lanes; i++)
		l->written[i] = kb_ring_written(l->lanes[i].ring);
	kb_exchanges_asked(l->exchanges, l->written);
	if (l->p->api->ask_exchange(l->broker, exchange) == KB_BROKER_INVALID)
		on_exchange(l, false, NULL); /* then by trying */
}

/* Those that the consumer declares, who has a connection of its own. */
static void expect_exchanges(struct loop *l)
{
	kb_exchanges_connected(l->exchanges, kb_now_ms());
	for (size_t i = 0; i < l->p->n_subscriptions; i++) {
		const struct kb_subscription *s = &l->p->subscriptions[i];
		kb_exchanges_expect(l->exchanges, kb_slice_from(s->exchange.name));
		for (size_t j = 0; j < s->n_exchange_bindings; j++)
			kb_exchanges_expect(l->exchanges, kb_slice_from(s->exchange_bindings[j].source.name));
	}
}

static bool make_exchanges(struct loop *l, size_t writers)
{
	if (!l->p->api->ask_exchange)
		return true;
	l->exchanges = kb_exchanges_new(writers, l->p->retry_ms);
	l->written = calloc(writers, sizeof *l->written);
	return l->exchanges && l->written;
}

/* No longer than until the next lane is to be resumed, or an exchange to be asked for. */
static int until_due(const struct loop *l, int ms)
{
	int64_t now = kb_now_ms();
	for (size_t i = 0; i < l->n_lanes && !l->renewing; i++) {
		const struct kb_retry *r = &l->lanes[i].retry;
		if (r->held && now + ms > r->resume_at)
			ms = r->resume_at > now ? (int)(r->resume_at - now) : l->renew_since ? DRAIN_TICK_MS : 0;
	}
	return l->exchanges ? kb_exchanges_until(l->exchanges, now, ms) : ms;
}

/* -- answers -- */

static bool on_delivered(void *context, const struct kb_message *m)
{
	struct loop *l = context;
	return l->p->delivered(l->p->context, m);
}

static void on_unroutable(void *context, struct kb_slice exchange, struct kb_slice correlation_id)
{
	struct loop *l = context;
	if (l->p->unroutable)
		l->p->unroutable(l->p->context, exchange, correlation_id);
}

static void on_too_large(void *context, const struct kb_message *m, size_t bytes)
{
	struct loop *l = context;
	l->p->too_large(l->p->context, m, bytes);
}

static void on_waiting(void *context, uint32_t subscription, uint32_t messages)
{
	struct loop *l = context;
	(void)subscription, (void)messages;
	if (l->p->subscribed)
		l->p->subscribed(l->p->context);
}

static void on_forbidden(void *context, struct kb_slice subject, const char *reason)
{
	struct loop *l = context;
	if (l->p->forbidden)
		l->p->forbidden(l->p->context, subject, reason);
}

static void on_notice(void *context, const char *name)
{
	struct loop *l = context;
	if (l->p->notice)
		l->p->notice(l->p->context, name);
}

/* One that the broker refuses is logged by it, and tried again. */
static bool subscribe(struct loop *l)
{
	return !l->p->subscription ||
		   l->p->api->subscribe(l->broker, l->p->subscription(l->p->context), 0) != KB_BROKER_LOST;
}

/* -- the loop -- */

static void sleep_until_work(struct loop *l, int timeout_ms)
{
	const struct kb_broker_api *api = l->p->api;
	struct kb_wake *wake = kb_outbox_wake(l->p->outbox, l->p->reader);
	bool want_work = l->connected && window_open(l) && !(api->poll_events(l->broker) & POLLOUT);
	if (want_work)
		kb_wake_arm(wake);
	if (!want_work || !has_work(l)) {
		struct pollfd fds[2] = {
			{l->connected ? api->poll_fd(l->broker) : -1, 0, 0}, {want_work ? kb_wake_fd(wake) : -1, POLLIN, 0}};
		if (l->connected)
			fds[0].events = api->poll_events(l->broker);
		poll(fds, 2, timeout_ms);
		l->silent = !(fds[0].revents & ~POLLOUT);
	}
	if (want_work)
		kb_wake_disarm(wake);
}

/* With a subkey of their own: routes for `open` and `closed`, which are the consumer's, expect one for each of its
 * connections. */
static void tell_state(struct loop *l, bool open)
{
	char state[64];
	snprintf(state, sizeof state, "%s-%s", l->own.connection, open ? "open" : "closed");
	kb_own_event_connection(&l->own, state, NULL);
}

static void report(struct loop *l, bool open)
{
	l->connected = open;
	l->silent = false; /* subscribing may have left something with the library */
	l->own.address = l->p->api->address(l->broker);
	if (l->blocked)
		on_blocked(l, false, "the connection is lost");
	tell_state(l, open);
	if (l->p->connection)
		l->p->connection(l->p->context, open, l->p->api->address(l->broker));
	if (open)
		kb_traffic_open(l->p->config.traffic);
}

static void connect_or_wait(struct loop *l)
{
	if (l->p->api->connect(l->broker) == KB_BROKER_OK && subscribe(l)) {
		uint64_t open = rewind_lanes(l);
		if (l->exchanges)
			expect_exchanges(l);
		if (open)
			kb_log(KB_LOG_NOTICE, "%s: sending %" PRIu64 " unconfirmed messages again", l->p->api->name, open);
		kb_backoff_opened(&l->backoff, kb_now_ms());
		report(l, true);
		return;
	}
	sleep_until_work(l, kb_backoff_next_ms(&l->backoff));
}

static int timeout_ms(const struct loop *l)
{
	int ms = l->p->api->poll_timeout_ms(l->broker), most = l->p->timeout_ms ? l->p->timeout_ms : TICK_MS;
	return l->drain_until ? DRAIN_TICK_MS : until_due(l, ms < 0 || ms > most ? most : ms);
}

static void serve(struct loop *l)
{
	renew_when_due(l);
	send_lanes(l);
	ask_for_exchange(l);
	enum kb_broker_result result = l->p->api->process(l->broker, l->silent ? 0 : UINT32_MAX);
	l->silent = false;
	if (l->settled_any)
		kb_outbox_wake_writers(l->p->outbox, l->p->reader);
	l->settled_any = false;
	if (result == KB_BROKER_LOST) {
		report(l, false);
		kb_backoff_lost(&l->backoff, kb_now_ms());
		sleep_until_work(l, kb_backoff_next_ms(&l->backoff));
		return;
	}
	bool socket_full = l->p->api->poll_events(l->broker) & POLLOUT;
	if (result == KB_BROKER_AGAIN)
		return;
	if ((!window_open(l) || socket_full || !has_work(l)) && (l->p->at_once || !kb_pace_gather(&l->pace)))
		sleep_until_work(l, timeout_ms(l));
}

static struct loop *make_loop(const struct kb_publisher *p)
{
	struct loop *l = calloc(1, sizeof *l);
	size_t readers = kb_outbox_readers(p->outbox), writers = kb_outbox_writers(p->outbox), bad_url = 0;
	if (!l)
		return NULL;
	l->p = p;
	l->lanes = calloc(writers / readers + 1, sizeof *l->lanes);
	struct kb_broker_events events = {.context = l,
		.settled = on_settled,
		.requeue = on_requeue,
		.exchange = on_exchange,
		.delivered = on_delivered,
		.waiting = on_waiting,
		.returned = on_returned,
		.unroutable = on_unroutable,
		.too_large = p->too_large ? on_too_large : NULL,
		.blocked = on_blocked,
		.forbidden = on_forbidden,
		.notice = on_notice};
	l->own = (struct kb_own_events){.inbox = p->inbox,
		.zone = p->zone ? p->zone : "",
		.connection = p->name ? p->name : "",
		.address = "",
		.broker = p->config.index};
	l->broker = l->lanes ? p->api->open(&p->config, &events, &bad_url) : NULL;
	for (size_t i = p->reader; l->lanes && i < writers; i += readers)
		l->lanes[l->n_lanes++].ring = kb_outbox_ring(p->outbox, i);
	if (!make_exchanges(l, l->n_lanes))
		l->n_lanes = 0;
	return l;
}

void kb_publisher_run(const struct kb_publisher *p)
{
	struct loop *l = make_loop(p);
	while (l && l->broker && l->n_lanes && !finished(l)) {
		if (p->tick)
			p->tick(p->context);
		if (l->connected)
			serve(l);
		else
			connect_or_wait(l);
	}
	if (!l)
		return;
	p->api->close(l->broker);
	kb_exchanges_free(l->exchanges);
	free(l->written);
	free(l->lanes);
	free(l);
}
