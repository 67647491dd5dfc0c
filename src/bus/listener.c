#include "bus/listener.h"

#include <poll.h>
#include <time.h>
#include "bus/backoff.h"
#include "bus/traffic.h"
#include "core/log.h"

enum {
	BATCH = 256, /* deliveries before the loop looks at the clock and at *stop */
	TICK_MS = 1000
};

struct loop {
	const struct kb_listener *l;
	struct kb_broker *broker;
	struct kb_backoff backoff;
	int64_t next_tick; /* ms */
};

static bool stopped(const struct loop *loop)
{
	return loop->l->stop && *loop->l->stop;
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void tick(struct loop *loop)
{
	int64_t now = now_ms();
	if (now < loop->next_tick)
		return;
	loop->next_tick = now + TICK_MS;
	if (loop->l->tick)
		loop->l->tick(loop->l->context);
}

static int shorter(int64_t a, int64_t b)
{
	return (int)(a < b ? a : b);
}

/* For `ms`, less when *stop is set, which a signal handler does. */
static void pause_for(struct loop *loop, int ms)
{
	int64_t until = now_ms() + ms;
	for (int64_t now = now_ms(); now < until && !stopped(loop); now = now_ms()) {
		tick(loop);
		poll(NULL, 0, shorter(until - now, TICK_MS));
	}
}

/* -- deliveries -- */

static bool on_delivered(void *context, const struct kb_message *m)
{
	struct loop *loop = context;
	const struct kb_listener *l = loop->l;
	struct kb_delivery d = {
		l->api->consume, loop->broker, &m->origin, !l->subscriptions[m->origin.subscription].no_ack};
	if (!l->delivered(l->context, m, &d))
		return false;
	if (d.open)
		l->api->consume->settle(loop->broker, &m->origin, KB_DONE);
	return true;
}

static void on_notice(void *context, const char *name)
{
	struct loop *loop = context;
	if (loop->l->notice)
		loop->l->notice(loop->l->context, name);
}

/* -- the loop -- */

static void report(struct loop *loop, bool open)
{
	if (loop->l->connection)
		loop->l->connection(loop->l->context, open, loop->l->api->address(loop->broker));
}

/* A subscription that the broker refuses is logged and does not stop the others. */
static bool subscribe_all(struct loop *loop)
{
	const struct kb_listener *l = loop->l;
	for (size_t i = 0; i < l->n_subscriptions; i++)
		if (l->api->consume->subscribe(loop->broker, &l->subscriptions[i], (uint32_t)i) == KB_BROKER_LOST)
			return false;
	return true;
}

static void wait_for_more(struct loop *loop)
{
	const struct kb_broker_api *api = loop->l->api;
	int64_t ms = loop->next_tick - now_ms();
	int timeout = api->poll_timeout_ms(loop->broker);
	struct pollfd fd = {api->poll_fd(loop->broker), api->poll_events(loop->broker), 0};
	ms = timeout >= 0 ? shorter(ms, timeout) : ms;
	poll(&fd, 1, ms > 0 ? (int)ms : 0);
}

/* Until the connection is lost. */
static void serve(struct loop *loop)
{
	while (!stopped(loop)) {
		tick(loop);
		enum kb_broker_result result = loop->l->api->process(loop->broker, BATCH);
		if (result == KB_BROKER_LOST)
			return;
		if (result != KB_BROKER_AGAIN && !stopped(loop))
			wait_for_more(loop);
	}
}

static void connect_and_serve(struct loop *loop)
{
	if (loop->l->api->connect(loop->broker) != KB_BROKER_OK || !subscribe_all(loop))
		return;
	kb_backoff_opened(&loop->backoff, now_ms());
	kb_traffic_open(loop->l->config.traffic);
	report(loop, true);
	serve(loop);
	report(loop, false);
	kb_backoff_lost(&loop->backoff, now_ms());
}

void kb_listener_run(const struct kb_listener *l)
{
	struct loop loop = {.l = l};
	struct kb_broker_events events = {.context = &loop, .notice = on_notice, .consume.delivered = on_delivered};
	size_t bad_url;
	loop.broker = l->api->open(&l->config, &events, &bad_url);
	kb_traffic_list(l->config.traffic, l->subscriptions, l->n_subscriptions, false);
	while (loop.broker && !stopped(&loop)) {
		connect_and_serve(&loop);
		if (!stopped(&loop))
			pause_for(&loop, kb_backoff_next_ms(&loop.backoff));
	}
	l->api->close(loop.broker);
}
