#include "broker/consumer.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include "broker/backoff.h"
#include "broker/pace.h"
#include "core/json.h"
#include "core/log.h"

enum {
	TICK_MS = 1000,
	FULL_PAUSE_MS = 1 /* while every inbox is full: long enough for a worker to finish dozens of messages */
};

struct loop {
	const struct kb_consumer *c;
	struct kb_broker *broker;
	size_t turn;        /* the worker that gets the next message */
	uint64_t unsettled; /* messages at the workers that wait for their acknowledgement */
	bool connected, full;
	struct kb_subscription answers; /* to questions; behind the configured ones */
	const char *answers_key;
	struct kb_backoff backoff;
	struct kb_pace pace;
	struct kb_log_limit lost_events;
};

static bool stopped(const struct loop *l)
{
	return l->c->stop && *l->c->stop;
}

/* -- to the workers -- */

static bool hand_over(struct loop *l, const struct kb_message *m)
{
	size_t workers = kb_inbox_workers(l->c->inbox);
	for (size_t i = 0; i < workers; i++) {
		size_t worker = l->turn;
		l->turn = (l->turn + 1) % workers;
		if (kb_inbox_put(l->c->inbox, worker, m))
			return true;
	}
	return false;
}

struct kb_slice kb_reply_address(const struct kb_replies *replies, const char *prefix)
{
	static char address[256];
	int n = snprintf(address, sizeof address, "%.220s-targeted-%u", prefix, kb_replies_generation(replies));
	return kb_slice(address, (size_t)n);
}

static struct kb_slice property(const struct kb_message *m, const char *wanted)
{
	struct kb_slice rest = m->properties, name, value;
	while (kb_headers_next(&rest, &name, &value))
		if (kb_slice_equal(name, kb_slice_from(wanted)))
			return value;
	return kb_slice(NULL, 0);
}

/* An answer finds its question by Msg-ID, or by the correlation-id that was sent along. */
static void take_answer(struct loop *l, const struct kb_message *m)
{
	struct kb_buf id = {0};
	struct kb_json_value member = kb_json_member(m->payload, KB_SLICE_LITERAL("Msg-ID"));
	struct kb_slice correlation = property(m, "correlation-id");
	if (member.type == KB_JSON_STRING)
		kb_json_text(member, &id);
	if (!(id.n && kb_replies_answer(l->c->replies, kb_buf_slice(&id), m->payload)) &&
		!(correlation.n && kb_replies_answer(l->c->replies, correlation, m->payload)))
		kb_log(KB_LOG_DEBUG, "%s: answer \"%.*s\" for nobody", l->c->api->name,
			KB_SLICE_FMT(id.n ? kb_buf_slice(&id) : correlation));
	kb_buf_free(&id);
}

static bool on_delivered(void *context, const struct kb_message *m)
{
	struct loop *l = context;
	if (m->origin.subscription == l->c->n_subscriptions) {
		take_answer(l, m);
		return true;
	}
	const struct kb_subscription *s = &l->c->subscriptions[m->origin.subscription];
	struct kb_message copy = *m;
	bool after_worker = !s->no_ack && s->wait_for_consumer_ack;
	if (after_worker)
		copy.origin.flags |= KB_WANTS_ACK;
	l->full = !hand_over(l, &copy);
	if (l->full)
		return false;
	kb_pace_note(&l->pace, 1);
	if (after_worker)
		l->unsettled++;
	else if (!s->no_ack)
		l->c->api->settle(l->broker, &m->origin, KB_DONE);
	return true;
}

/* "host:port" without the port. */
static struct kb_slice host_of(const char *address)
{
	const char *colon = strrchr(address, ':');
	return kb_slice(address, colon ? (size_t)(colon - address) : strlen(address));
}

/* The module's own event, in the form of a message. */
static void report(struct loop *l, bool open)
{
	struct kb_buf payload = {0};
	const char *state = open ? "open" : "closed";
	l->connected = open;
	if (!open && l->c->replies)
		kb_replies_close_way(l->c->replies, KB_REPLIES_BACK);
	kb_buf_printf(&payload, "{\"Event-Category\":\"connection\",\"Event-Name\":\"%s\",\"host\":", state);
	kb_json_quote(host_of(l->c->api->address(l->broker)), &payload);
	kb_buf_printf(&payload, ",\"zone\":");
	kb_json_quote(kb_slice_from(l->c->zone), &payload);
	kb_buf_append_byte(&payload, '}');
	struct kb_message m = {.exchange = KB_SLICE_LITERAL("connection"),
		.key = kb_slice_from(state),
		.payload = kb_buf_slice(&payload),
		.origin = {.subscription = KB_ORIGIN_EVENT, .broker = l->c->config.index}};
	if (payload.failed || !hand_over(l, &m))
		kb_log_limited(&l->lost_events, KB_LOG_WARNING, "%s: no room for the event connection %s of %s",
			l->c->api->name, state, l->c->api->address(l->broker));
	kb_buf_free(&payload);
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
				l->c->api->settle(l->broker, &origin, outcome);
		}
		more |= n == l->c->ack_batch;
	}
	return more;
}

/* -- the loop -- */

static void sleep_until_work(struct loop *l, int timeout_ms)
{
	struct kb_wake *wake = kb_inbox_consumer_wake(l->c->inbox);
	bool want_outcomes = l->unsettled > 0;
	if (want_outcomes)
		kb_wake_arm(wake);
	if (!want_outcomes || !harvest(l)) {
		struct pollfd fds[2] = {{l->connected ? l->c->api->poll_fd(l->broker) : -1, 0, 0},
			{want_outcomes ? kb_wake_fd(wake) : -1, POLLIN, 0}};
		if (l->connected)
			fds[0].events = l->c->api->poll_events(l->broker);
		poll(fds, 2, l->full && timeout_ms > FULL_PAUSE_MS ? FULL_PAUSE_MS : timeout_ms);
	}
	if (want_outcomes)
		kb_wake_disarm(wake);
}

/* A queue of its own for the answers to this connection. */
static bool subscribe_answers(struct loop *l)
{
	if (!l->c->replies)
		return true;
	kb_replies_next_generation(l->c->replies);
	l->answers_key = kb_reply_address(l->c->replies, l->c->reply_prefix).p;
	l->answers = (struct kb_subscription){.exchange = {.name = KB_REPLY_EXCHANGE, .type = "direct"},
		.queue = {.name = l->answers_key, .auto_delete = true},
		.routing = &l->answers_key,
		.n_routing = 1,
		.no_ack = true,
		.event_key = "",
		.event_subkey = ""};
	enum kb_broker_result result = l->c->api->subscribe(l->broker, &l->answers, (uint32_t)l->c->n_subscriptions);
	if (result == KB_BROKER_OK)
		kb_replies_open_way(l->c->replies, KB_REPLIES_BACK);
	return result != KB_BROKER_LOST;
}

static bool subscribe_all(struct loop *l)
{
	if (!subscribe_answers(l))
		return false;
	for (size_t i = 0; i < l->c->n_subscriptions; i++) {
		const struct kb_subscription *s = &l->c->subscriptions[i];
		if ((s->federate || !l->c->federated_only) && l->c->api->subscribe(l->broker, s, (uint32_t)i) == KB_BROKER_LOST)
			return false;
	}
	return true;
}

static void connect_or_wait(struct loop *l)
{
	if (l->c->api->connect(l->broker) == KB_BROKER_OK && subscribe_all(l)) {
		kb_backoff_reset(&l->backoff);
		report(l, true);
		return;
	}
	sleep_until_work(l, kb_backoff_next_ms(&l->backoff));
}

static void serve(struct loop *l)
{
	bool more = harvest(l);
	enum kb_broker_result result = l->c->api->process(l->broker, l->c->deliver_batch);
	if (result == KB_BROKER_LOST) {
		report(l, false);
		return;
	}
	if (more || (result == KB_BROKER_AGAIN && !l->full) || kb_pace_gather(&l->pace))
		return;
	int ms = l->c->api->poll_timeout_ms(l->broker);
	sleep_until_work(l, ms < 0 || ms > TICK_MS ? TICK_MS : ms);
}

void kb_consumer_run(const struct kb_consumer *c)
{
	size_t bad_url = 0;
	struct loop *l = calloc(1, sizeof *l);
	if (!l)
		return;
	l->c = c;
	struct kb_broker_events events = {.context = l, .delivered = on_delivered};
	l->broker = c->api->open(&c->config, &events, &bad_url);
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
