/* nats/subscriptions: a refused one is tried again, and its durable consumers get the time. */
#include "nats/subscriptions.h"

#include "nats/broker.h"
#include "check.h"

enum { NOW = 50000, REFUSED_MS = 30000 };

static const char *const foos[] = {"foo"}, *const bars[] = {"bar"};
static const char *const urls[] = {"nats://a:1"};
static const struct kb_subscription foo = {.routing = foos, .n_routing = 1, .queue.name = ""};
static const struct kb_subscription bar = {.routing = bars, .n_routing = 1, .queue.name = "g"};

static struct kb_broker *open_one(void)
{
	struct kb_broker_config config = {.urls = urls, .n_urls = 1, .client_name = "test"};
	size_t bad;
	struct kb_broker *b = kb_nats.open(&config, &(struct kb_broker_events){0}, &bad);
	b->link.up = b->link.info.headers = b->link.mute = true; /* there is no socket */
	return b;
}

/* Whether `text` waits for the socket, which is then forgotten. */
static bool sent(struct kb_broker *b, const char *text)
{
	bool found = b->link.out.n && memmem(b->link.out.p, b->link.out.n, text, strlen(text));
	kb_buf_clear(&b->link.out);
	return found;
}

static void refuse(struct kb_broker *b, const char *what, int64_t now)
{
	kb_nats_subscriptions_note_refusal(b, kb_slice_from(what), what, now);
}

static void only_what_was_refused_is_tried_again(void)
{
	struct kb_broker *b = open_one();
	CHECK(kb_nats_subscriptions_add(b, &foo, 0) == KB_BROKER_OK);
	CHECK(kb_nats_subscriptions_add(b, &bar, 1) == KB_BROKER_OK);
	refuse(b, "Permissions Violation for Subscription to \"foo.bar\"", NOW);
	refuse(b, "Permissions Violation for Publish to \"foo\"", NOW);
	CHECK(!b->refused);
	refuse(b, "Permissions Violation for Subscription to \"bar\" using queue \"g\"", NOW);
	CHECK(b->refused);
	kb_buf_clear(&b->link.out);
	kb_nats_subscriptions_retry(b, NOW + REFUSED_MS - 1);
	CHECK(b->refused && !sent(b, "SUB"));
	kb_nats_subscriptions_retry(b, NOW + REFUSED_MS);
	CHECK(!b->refused && !memmem(b->link.out.p, b->link.out.n, "SUB foo", 7) && sent(b, "SUB bar g 2\r\n"));
	kb_nats.close(b);
}

static void durable_consumers_get_the_time(void)
{
	static const struct kb_durable durable = {.stream = "S", .name = "D"};
	static const struct kb_subscription stream = {.queue.name = "", .durable = &durable};
	struct kb_broker *b = open_one();
	CHECK(kb_nats_subscriptions_add(b, &stream, 0) == KB_BROKER_OK);
	struct kb_nats_durable *d = &b->subscriptions[0].durable;
	kb_buf_clear(&b->link.out);
	kb_nats_subscriptions_tick(b, d->due_ms - 1);
	CHECK(d->state == KB_NATS_DURABLE_CHECKING);
	kb_nats_subscriptions_tick(b, d->due_ms);
	CHECK(d->state == KB_NATS_DURABLE_PAUSED && !sent(b, "PUB"));
	kb_nats_subscriptions_tick(b, d->due_ms);
	CHECK(d->state == KB_NATS_DURABLE_CHECKING && sent(b, "PUB $JS.API.CONSUMER.INFO.S.D "));
	kb_nats.close(b);
}

static void the_inbox_of_a_durable_consumer_can_be_refused(void)
{
	static const struct kb_durable durable = {.stream = "S", .name = "D"};
	static const struct kb_subscription stream = {.queue.name = "", .durable = &durable};
	char what[KB_NATS_INBOX_BYTES + 100];
	struct kb_broker *b = open_one();
	CHECK(kb_nats_subscriptions_add(b, &stream, 0) == KB_BROKER_OK);
	snprintf(
		what, sizeof what, "Permissions Violation for Subscription to \"%s.*\"", b->subscriptions[0].durable.inbox);
	refuse(b, what, NOW);
	CHECK(b->refused);
	kb_buf_clear(&b->link.out);
	kb_nats_subscriptions_retry(b, NOW + REFUSED_MS);
	CHECK(b->subscriptions[0].durable.state == KB_NATS_DURABLE_CHECKING && sent(b, ".* 1\r\n"));
	kb_nats.close(b);
}

static void no_log(enum kb_log_level level, const char *line)
{
	(void)level, (void)line;
}

int main(void)
{
	kb_log_set_sink(no_log);
	only_what_was_refused_is_tried_again();
	durable_consumers_get_the_time();
	the_inbox_of_a_durable_consumer_can_be_refused();
	return check_failures ? 1 : 0;
}
