#include "bus/publisher.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include "bus/flights.h"
#include "bus/lanes.h"
#include "bus/traffic.h"
#include "core/clock.h"

enum { TICK_MS = 1000 };

static bool all_settled(const struct kb_publishing *l)
{
	for (size_t i = 0; i < l->n_lanes; i++)
		if (!kb_ring_empty(l->lanes[i].ring))
			return false;
	return true;
}

/* True once the loop ends: *stop is set, and nothing is left that could still be delivered. */
static bool finished(struct kb_publishing *l)
{
	if (!l->p->stop || !*l->p->stop)
		return false;
	if (!l->drain_until)
		l->drain_until = kb_clock_ms() + l->p->drain_ms;
	return !l->connected || all_settled(l) || kb_clock_ms() >= l->drain_until;
}

static void on_blocked(void *context, bool blocked, const char *reason)
{
	struct kb_publishing *l = context;
	l->blocked = blocked;
	kb_own_event_connection(&l->own, blocked ? "blocked" : "unblocked", reason);
}

/* -- what the broker says of replies -- */

static bool on_delivered(void *context, const struct kb_message *m)
{
	struct kb_publishing *l = context;
	return l->p->delivered(l->p->context, m);
}

static void on_unroutable(void *context, struct kb_slice exchange, struct kb_slice correlation_id)
{
	struct kb_publishing *l = context;
	if (l->p->unroutable)
		l->p->unroutable(l->p->context, exchange, correlation_id);
}

static void on_too_large(void *context, const struct kb_message *m, size_t bytes)
{
	struct kb_publishing *l = context;
	l->p->too_large(l->p->context, m, bytes);
}

static void on_forbidden(void *context, struct kb_slice subject, const char *reason)
{
	struct kb_publishing *l = context;
	if (l->p->forbidden)
		l->p->forbidden(l->p->context, subject, reason);
}

static void on_notice(void *context, const char *name)
{
	struct kb_publishing *l = context;
	if (l->p->notice)
		l->p->notice(l->p->context, name);
}

/* -- the loop -- */

static void sleep_until_work(struct kb_publishing *l, int timeout_ms)
{
	const struct kb_broker_api *api = l->p->api;
	struct kb_wake *wake = kb_outbox_wake(l->p->outbox, l->p->reader);
	bool want_work = l->connected && kb_lanes_open(l) && !(api->poll_events(l->broker) & POLLOUT);
	if (want_work)
		kb_wake_arm(wake);
	if (!want_work || !kb_lanes_have_work(l)) {
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

/* With a subkey of their own: `open` and `closed` are the consumer's, and routes for them expect one for each of its
 * connections. */
static void tell_state(struct kb_publishing *l, bool open)
{
	char state[64];
	snprintf(state, sizeof state, "%s-%s", l->own.connection, open ? "open" : "closed");
	kb_own_event_connection(&l->own, state, NULL);
}

static void report(struct kb_publishing *l, bool open)
{
	if (open != l->open)
		tell_state(l, open);
	l->open = open;
	if (l->p->connection)
		l->p->connection(l->p->context, open, l->p->api->address(l->broker));
	if (open)
		kb_traffic_open(l->p->config.traffic);
}

static void set_connected(struct kb_publishing *l, bool connected)
{
	l->connected = connected;
	l->silent = false; /* subscribing may have left something with the library */
	l->own.address = l->p->api->address(l->broker);
	if (l->blocked)
		on_blocked(l, false, "connection lost");
}

static void on_waiting(void *context, uint32_t subscription, uint32_t messages)
{
	struct kb_publishing *l = context;
	(void)subscription, (void)messages;
	if (l->p->subscribed)
		l->p->subscribed(l->p->context);
	if (l->connected && !l->open)
		report(l, true);
}

static void on_fell(void *context, uint32_t subscription, const char *reason)
{
	struct kb_publishing *l = context;
	(void)subscription;
	kb_traffic_state(l->p->config.traffic, KB_CONNECTION_CONNECTING, NULL, reason);
	if (l->open)
		report(l, false);
	if (l->p->fell)
		l->p->fell(l->p->context, reason);
}

/* A subscription that the broker refuses is logged by it, and tried again. */
static enum kb_broker_result connect_and_subscribe(struct kb_publishing *l)
{
	enum kb_broker_result result = l->p->api->connect(l->broker);
	if (result != KB_BROKER_OK || !l->p->subscription)
		return result;
	return l->p->api->consume->subscribe(l->broker, l->p->subscription(l->p->context), 0);
}

static void connect_or_wait(struct kb_publishing *l)
{
	enum kb_broker_result result = connect_and_subscribe(l);
	if (result != KB_BROKER_LOST) {
		uint64_t open = kb_flights_rewind(l);
		if (l->exchanges)
			kb_lanes_expect_exchanges(l);
		if (open)
			kb_log(KB_LOG_NOTICE, "%s: sending %" PRIu64 " unconfirmed messages again", l->p->api->name, open);
		kb_backoff_opened(&l->backoff, kb_clock_ms());
		set_connected(l, true);
		if (result == KB_BROKER_OK)
			report(l, true);
		return;
	}
	sleep_until_work(l, kb_backoff_next_ms(&l->backoff));
}

static int timeout_ms(const struct kb_publishing *l)
{
	int ms = l->p->api->poll_timeout_ms(l->broker), most = l->p->timeout_ms ? l->p->timeout_ms : TICK_MS;
	return l->drain_until ? KB_DRAIN_TICK_MS : kb_lanes_until_due(l, ms < 0 || ms > most ? most : ms);
}

static void serve(struct kb_publishing *l)
{
	kb_lanes_renew_when_due(l);
	kb_lanes_send(l);
	kb_lanes_look_up_exchange(l);
	enum kb_broker_result result = l->p->api->process(l->broker, l->silent ? 0 : UINT32_MAX);
	l->silent = false;
	if (l->settled_any)
		kb_outbox_wake_writers(l->p->outbox, l->p->reader);
	l->settled_any = false;
	if (result == KB_BROKER_LOST) {
		set_connected(l, false);
		report(l, false);
		kb_backoff_lost(&l->backoff, kb_clock_ms());
		sleep_until_work(l, kb_backoff_next_ms(&l->backoff));
		return;
	}
	bool socket_full = l->p->api->poll_events(l->broker) & POLLOUT;
	if (result == KB_BROKER_AGAIN)
		return;
	if ((!kb_lanes_open(l) || socket_full || !kb_lanes_have_work(l)) &&
		(l->p->at_once || !kb_pace_gather(&l->pace, KB_PACE_SEND_US)))
		sleep_until_work(l, timeout_ms(l));
}

static struct kb_publishing *make_loop(const struct kb_publisher *p)
{
	struct kb_publishing *l = calloc(1, sizeof *l);
	size_t readers = kb_outbox_readers(p->outbox), writers = kb_outbox_writers(p->outbox), bad_url = 0;
	if (!l)
		return NULL;
	l->p = p;
	l->lanes = calloc(writers / readers + 1, sizeof *l->lanes);
	struct kb_broker_events events = {.context = l,
		.blocked = on_blocked,
		.notice = on_notice,
		.publish = {.settled = kb_flights_on_settled,
			.requeue = kb_flights_on_requeue,
			.returned = kb_flights_on_returned,
			.exchange = kb_lanes_on_exchange},
		.consume = {.delivered = on_delivered,
			.too_large = p->too_large ? on_too_large : NULL,
			.waiting = on_waiting,
			.fell = on_fell},
		.request = {.unroutable = on_unroutable, .forbidden = on_forbidden}};
	l->own = (struct kb_own_events){.to = {.inbox = p->inbox},
		.zone = p->zone ? p->zone : "",
		.connection = p->name ? p->name : "",
		.address = "",
		.broker = p->config.index};
	l->broker = l->lanes ? p->api->open(&p->config, &events, &bad_url) : NULL;
	for (size_t i = p->reader; l->lanes && i < writers; i += readers)
		l->lanes[l->n_lanes++].ring = kb_outbox_ring(p->outbox, i);
	if (!kb_lanes_make_exchanges(l, l->n_lanes))
		l->n_lanes = 0;
	return l;
}

void kb_publisher_run(const struct kb_publisher *p)
{
	struct kb_publishing *l = make_loop(p);
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
