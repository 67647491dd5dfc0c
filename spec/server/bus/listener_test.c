/* bus/listener against a real nats-server: the loop of a process that handles its deliveries itself. */
#include "fixture.h"

#include <stdio.h>
#include <string.h>
#include "bus/listener.h"

/* The test is driven by tick(), which the loop calls once a second, and by what happens. */
struct scene {
	struct fixture_server server;
	struct fixture_client publisher;
	volatile int stop;
	int64_t started;
	int opened, closed, ticks, delivered;
};

static void publish(struct scene *s, const char *payload)
{
	CHECK(s->publisher.api->connect(s->publisher.broker) == KB_BROKER_OK);
	CHECK(fixture_publish(&s->publisher, "events.a", payload, strlen(payload)) == KB_BROKER_OK);
	CHECK(s->publisher.api->process(s->publisher.broker, 1) >= KB_BROKER_OK);
}

static void on_connection(void *context, bool open, const char *address)
{
	struct scene *s = context;
	CHECK(strcmp(address, s->server.url + strlen("nats://")) == 0);
	s->opened += open;
	s->closed += !open;
}

static bool on_delivered(void *context, const struct kb_message *m, struct kb_delivery *d)
{
	struct scene *s = context;
	CHECK(!kb_delivery_progress(d) && !kb_delivery_settle(d, KB_DONE, 0)); /* core NATS has nothing of the kind */
	CHECK(strcmp(s->publisher.api->name, "nats") == 0);
	CHECK(kb_slice_equal(m->key, KB_SLICE_LITERAL("events.a")) && m->origin.subscription == 0);
	s->delivered++;
	if (s->delivered == 1) {
		CHECK(kb_slice_equal(m->payload, KB_SLICE_LITERAL("first")));
		fixture_kill(&s->server);
	} else {
		CHECK(kb_slice_equal(m->payload, KB_SLICE_LITERAL("second")));
		s->stop = 1;
	}
	return true;
}

static void on_tick(void *context)
{
	struct scene *s = context;
	s->ticks++;
	if (s->opened == 1 && s->delivered == 0)
		publish(s, "first");
	else if (s->opened == 1 && s->closed == 1 && !s->server.pid && fixture_logged("cannot connect to"))
		fixture_restart(&s->server);
	else if (s->opened == 2 && s->delivered == 1)
		publish(s, "second");
	if (kb_clock_ms() - s->started > 3 * SOON_MS)
		s->stop = 1;
}

int main(void)
{
	static struct scene s;
	const char *subject = "events.*";
	struct kb_subscription subscription = {.exchange = {.name = "", .type = ""},
		.queue = {.name = "group"},
		.routing = &subject,
		.n_routing = 1,
		.no_ack = true,
		.event_key = "",
		.event_subkey = ""};
	fixture_catch_log();
	fixture_start(&s.server, "");
	const char *url = s.server.url;
	fixture_open(&s.publisher, &url, 1, 0);
	struct kb_listener l = {.api = &kb_nats,
		.config =
			{.urls = &url, .n_urls = 1, .client_name = "listener", .role = KB_ROLE_CONSUME, .connect_timeout_ms = 500},
		.subscriptions = &subscription,
		.n_subscriptions = 1,
		.context = &s,
		.delivered = on_delivered,
		.connection = on_connection,
		.tick = on_tick,
		.stop = &s.stop};
	s.started = kb_clock_ms();
	kb_listener_run(&l);
	int64_t seconds = (kb_clock_ms() - s.started) / 1000;
	CHECK(s.delivered == 2 && s.opened == 2 && s.closed == 2);
	CHECK(s.ticks >= 3 && s.ticks <= seconds + 2);
	CHECK(fixture_logged("cannot connect to"));
	fixture_close(&s.publisher);
	fixture_kill(&s.server);
	fixture_forget_log();
	return fixture_failures ? 1 : 0;
}
