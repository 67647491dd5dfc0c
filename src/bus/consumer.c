#include "bus/consumer.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include "bus/backoff.h"
#include "bus/own_event.h"
#include "bus/pace.h"
#include "bus/traffic.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"

enum {
	CATCH_UP_BATCH = 10000, /* deliveries between two looks at acknowledgements while there is a backlog */
	COUNT_MS = 1000,        /* between two counts of how much of a backlog is left */
	FULL_PAUSE_MS = 1       /* while every inbox is full: long enough for a worker to finish dozens of messages */
};

/* Messages of one subscription that waited at the broker when it started, and are still to come. Other consumers, their
 * expiry or a purge may take some of them, so the broker counts again: new messages are the last in a queue, so no more
 * of the backlog is left than waits at all. A stream has a length, too, and none of it is for us. */
struct backlog {
	uint64_t left;
	uint64_t counted; /* what waited when the broker last counted */
	bool silent;      /* then no worker owed an outcome, and nothing has come since */
	size_t worker;    /* that gets them, when one gets them all */
};

struct loop {
	const struct kb_consumer *c;
	struct kb_broker *broker;
	int64_t count_at;   /* ms; when to count what is left of backlogs */
	uint64_t unsettled; /* messages at the workers that are still to be acknowledged */
	bool connected, full;
	bool has_prefetch;        /* one of the subscriptions */
	bool acks_had_their_turn; /* right before a sleep that they made unnecessary */
	struct kb_backoff backoff;
	struct kb_pace pace;
	struct kb_own_events own;
	struct kb_log_limit too_large;
	struct backlog backlogs[]; /* by subscription */
};

static bool stopped(const struct loop *l)
{
	return l->c->stop && *l->c->stop;
}

/* -- to the workers -- */

static const struct kb_subscription *subscription_of(const struct loop *l, const struct kb_message *m)
{
	return m->origin.subscription < l->c->n_subscriptions ? &l->c->subscriptions[m->origin.subscription] : NULL;
}

/* NULL: the message does not belong to one. */
static struct backlog *backlog_of(struct loop *l, const struct kb_message *m)
{
	struct backlog *b = subscription_of(l, m) ? &l->backlogs[m->origin.subscription] : NULL;
	return b && b->left ? b : NULL;
}

static bool any_backlog(const struct loop *l)
{
	for (size_t i = 0; i < l->c->n_subscriptions; i++)
		if (l->backlogs[i].left)
			return true;
	return false;
}

/* The worker of all messages with this value of the subscription's key field; false when the message has none. */
static bool worker_by_key(const struct loop *l, const struct kb_message *m, size_t *worker)
{
	const struct kb_subscription *s = subscription_of(l, m);
	if (!s || !s->worker_key)
		return false;
	struct kb_json_value value = kb_json_member(m->payload, kb_slice_from(s->worker_key));
	if (value.type == KB_JSON_NONE || value.type == KB_JSON_NULL)
		return false;
	struct kb_buf text = {0};
	kb_json_text(value, &text);
	*worker = (size_t)(kb_slice_hash(kb_buf_slice(&text)) % kb_inbox_workers(l->c->inbox));
	kb_buf_free(&text);
	return true;
}

/* Order matters more than room: a message that belongs to a worker waits for that worker. */
static bool hand_over(struct loop *l, const struct kb_message *m)
{
	size_t worker;
	const struct backlog *backlog = l->c->single_worker_for_backlog ? backlog_of(l, m) : NULL;
	if (worker_by_key(l, m, &worker))
		return kb_inbox_put(l->c->inbox, worker, m);
	if (backlog)
		return kb_inbox_put(l->c->inbox, backlog->worker, m);
	return kb_turn_put(&l->own.to, m);
}

/* Headers count too. A message that fits into no inbox would wait in front of all others for ever. */
static bool fits(struct loop *l, const struct kb_message *m)
{
	size_t most = kb_inbox_message_max(l->c->inbox);
	if (kb_message_size(m) <= most)
		return true;
	kb_log_limited(&l->too_large, KB_LOG_ERROR,
		"%s: discarding message of %zu bytes with routing key \"%.*s\": the inbox is limited to %zu bytes",
		l->c->api->name, kb_message_size(m), KB_SLICE_FMT(m->key), most);
	kb_traffic_drop(l->c->config.traffic, &m->origin, KB_DROP_TOO_LARGE);
	return false;
}

static void count_taken(struct loop *l, const struct kb_message *m)
{
	struct backlog *backlog = backlog_of(l, m);
	kb_pace_note(&l->pace, 1);
	if (!backlog)
		return;
	backlog->left--;
	backlog->silent = false;
}

static void on_waiting(void *context, uint32_t subscription, uint32_t messages)
{
	struct loop *l = context;
	l->backlogs[subscription] = (struct backlog){.left = messages, .counted = messages, .worker = l->own.to.worker};
}

/* What the broker had sent when it counted may come behind that count, but not behind the next one: so now the count
 * before this one holds. */
static void on_counted(void *context, uint32_t subscription, uint32_t messages)
{
	struct loop *l = context;
	struct backlog *backlog = &l->backlogs[subscription];
	if (backlog->left > backlog->counted)
		backlog->left = backlog->counted;
	if (backlog->silent)
		backlog->left = 0;
	backlog->counted = messages;
	backlog->silent = l->unsettled == 0;
}

static void on_fell(void *context, uint32_t subscription, const char *reason)
{
	struct loop *l = context;
	(void)reason;
	l->backlogs[subscription].left = 0;
}

static bool on_delivered(void *context, const struct kb_message *m)
{
	struct loop *l = context;
	const struct kb_subscription *s = subscription_of(l, m);
	struct kb_message copy = *m;
	bool after_worker = !s->no_ack && s->wait_for_consumer_ack, sound = fits(l, m);
	if (after_worker)
		copy.origin.flags |= KB_WANTS_ACK;
	l->full = sound && !hand_over(l, &copy);
	if (l->full)
		return false;
	count_taken(l, m);
	if (sound && after_worker)
		l->unsettled++;
	else if (!s->no_ack)
		l->c->api->consume->settle(l->broker, &m->origin, sound ? KB_DONE : KB_REJECTED);
	return true;
}

/* -- back from the workers -- */

/* True when a worker had more than its share. */
static bool harvest(struct loop *l)
{
	bool more = false;
	struct kb_origin origin;
	enum kb_outcome outcome;
	for (size_t worker = 0; worker < kb_inbox_workers(l->c->inbox); worker++) {
		unsigned n = 0;
		while (n < l->c->ack_batch && kb_inbox_harvest(l->c->inbox, worker, &origin, &outcome)) {
			if (!(origin.flags & KB_WANTS_ACK))
				continue; /* nothing to send: only its place in the ring is taken back */
			n++;
			l->unsettled--;
			if (l->connected)
				l->c->api->consume->settle(l->broker, &origin, outcome);
		}
		more |= n == l->c->ack_batch;
	}
	return more;
}

/* Earlier deliveries need no acknowledgement any more; taken back, they make room for the event. */
static void report(struct loop *l, bool open)
{
	l->connected = l->full = false;
	while (harvest(l))
		;
	l->connected = open;
	l->own.address = l->c->api->address(l->broker);
	kb_own_event_connection(&l->own, open ? "open" : "closed", NULL);
}

/* -- the loop -- */

static void sleep_until_work(struct loop *l, int timeout_ms)
{
	bool want_outcomes = l->connected && l->unsettled > 0; /* without a connection there is nothing to acknowledge */
	struct kb_wake *wake = want_outcomes ? kb_inbox_consumer_wake(l->c->inbox) : NULL;
	if (want_outcomes)
		kb_wake_arm(wake);
	l->acks_had_their_turn = want_outcomes && harvest(l);
	if (!l->acks_had_their_turn) {
		struct pollfd fds[2] = {{l->connected ? l->c->api->poll_fd(l->broker) : -1, 0, 0},
			{want_outcomes ? kb_wake_fd(wake) : -1, POLLIN, 0}};
		if (l->connected)
			fds[0].events = l->c->api->poll_events(l->broker);
		poll(fds, 2, l->full && timeout_ms > FULL_PAUSE_MS ? FULL_PAUSE_MS : timeout_ms);
	}
	if (want_outcomes)
		kb_wake_disarm(wake);
}

static bool subscribe_all(struct loop *l)
{
	for (size_t i = 0; i < l->c->n_subscriptions; i++) {
		const struct kb_subscription *s = &l->c->subscriptions[i];
		if ((s->federate || !l->c->federated_only) &&
			l->c->api->consume->subscribe(l->broker, s, (uint32_t)i) == KB_BROKER_LOST)
			return false;
	}
	return true;
}

static void connect_or_wait(struct loop *l)
{
	memset(l->backlogs, 0, l->c->n_subscriptions * sizeof *l->backlogs);
	l->full = false;
	if (l->c->api->connect(l->broker) == KB_BROKER_OK && subscribe_all(l)) {
		kb_backoff_opened(&l->backoff, kb_clock_ms());
		kb_traffic_open(l->c->config.traffic);
		report(l, true);
		return;
	}
	sleep_until_work(l, kb_backoff_next_ms(&l->backoff));
}

static unsigned batch(const struct loop *l)
{
	bool at_once = l->c->drain_backlog && l->c->deliver_batch < CATCH_UP_BATCH && any_backlog(l);
	return at_once ? CATCH_UP_BATCH : l->c->deliver_batch;
}

static int at_most(int ms, int limit_ms)
{
	return ms < 0 || ms > limit_ms ? limit_ms : ms;
}

static int timeout_ms(const struct loop *l)
{
	int ms = at_most(l->c->api->poll_timeout_ms(l->broker), l->c->read_timeout_ms);
	ms = any_backlog(l) ? at_most(ms, COUNT_MS) : ms;
	return l->unsettled ? at_most(ms, l->c->ack_timeout_ms) : ms;
}

static void count_backlogs(struct loop *l)
{
	int64_t now = kb_clock_ms();
	if (!l->c->api->consume->count || !any_backlog(l) || now < l->count_at)
		return;
	l->count_at = now + COUNT_MS;
	for (size_t i = 0; i < l->c->n_subscriptions; i++)
		if (l->backlogs[i].left)
			l->c->api->consume->count(l->broker, (uint32_t)i);
}

/* With a prefetch, the broker sends no more before it has its acknowledgements: so there may be nothing to gather. */
static bool gather(struct loop *l)
{
	return !l->has_prefetch && kb_pace_gather(&l->pace, KB_PACE_READ_US);
}

static void serve(struct loop *l)
{
	bool more = l->acks_had_their_turn || harvest(l);
	l->acks_had_their_turn = false;
	count_backlogs(l);
	enum kb_broker_result result = l->c->api->process(l->broker, batch(l));
	if (result == KB_BROKER_LOST) {
		report(l, false);
		kb_backoff_lost(&l->backoff, kb_clock_ms());
		sleep_until_work(l, kb_backoff_next_ms(&l->backoff));
		return;
	}
	if (more || (result == KB_BROKER_AGAIN && !l->full) || gather(l))
		return;
	sleep_until_work(l, timeout_ms(l));
}

void kb_consumer_run(const struct kb_consumer *c)
{
	size_t bad_url = 0;
	struct loop *l = calloc(1, sizeof *l + c->n_subscriptions * sizeof *l->backlogs);
	if (!l)
		return;
	l->c = c;
	l->own = (struct kb_own_events){.to = {.inbox = c->inbox},
		.keep_outcomes = true,
		.bus = c->api->name,
		.zone = c->zone,
		.address = "",
		.connection = "consumer",
		.broker = c->config.index};
	for (size_t i = 0; i < c->n_subscriptions; i++)
		l->has_prefetch |= c->subscriptions[i].prefetch && !c->subscriptions[i].no_ack;
	struct kb_broker_events events = {.context = l,
		.consume = {.delivered = on_delivered, .waiting = on_waiting, .counted = on_counted, .fell = on_fell}};
	l->broker = c->api->open(&c->config, &events, &bad_url);
	kb_traffic_list(c->config.traffic, c->subscriptions, c->n_subscriptions, c->federated_only);
	while (l->broker && !stopped(l)) {
		if (c->tick)
			c->tick(c->context);
		if (l->connected)
			serve(l);
		else
			connect_or_wait(l);
	}
	c->api->close(l->broker);
	free(l);
}
