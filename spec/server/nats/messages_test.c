/* nats/broker against a real nats-server: what broker.h promises of messages and subscriptions. */
#include "fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

static const char *const FOO = "foo";

static void payloads_are_bytes(const char *const *url)
{
	enum { MAX = 1024 * 1024 };
	static char big[MAX + 1];
	struct kb_subscription s;
	struct fixture_client c;
	fixture_connect(&c, &s, url, &FOO);

	CHECK(fixture_publish(&c, "foo", "a\0b\r\n\xff", 6) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 1));
	CHECK(c.payload_size == 6 && memcmp(c.payload, "a\0b\r\n\xff", 6) == 0);
	CHECK(strcmp(c.subject, "foo") == 0 && strcmp(c.reply, "") == 0 && strcmp(c.headers, "") == 0);
	CHECK(c.subscription == 7);

	CHECK(fixture_publish(&c, "foo", NULL, 0) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 2) && c.payload_size == 0);

	for (size_t i = 0; i < MAX; i++)
		big[i] = (char)(i * 7 + i / 251);
	CHECK(fixture_publish(&c, "foo", big, MAX) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 3) && c.payload_size == MAX && memcmp(c.payload, big, MAX) == 0);

	fixture_forget_log();
	CHECK(fixture_publish(&c, "foo", big, MAX + 1) == KB_BROKER_INVALID);
	CHECK(fixture_logged("1048577") && fixture_logged("1048576"));
	CHECK(fixture_publish(&c, "foo", "after", 5) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 4) && strcmp(c.payload, "after") == 0);
	fixture_close(&c);
}

static void wrong_subjects_are_refused(const char *const *url)
{
	static const char *const wrong[] = {
		"", " ", "a b", "*", "a.*", ">", "a.>", "a..b", ".a", "a.", "a\r\nPUB x 0\r\n", "a\tb", "a\x7f"};
	static char too_long[5000];
	struct kb_subscription s;
	struct fixture_client c;
	const char *all = ">";
	uint64_t sequence;
	fixture_connect(&c, &s, url, &all);
	fixture_forget_log();
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(fixture_publish(&c, wrong[i], "x", 1) == KB_BROKER_INVALID);
	CHECK(fixture_logged("message dropped: invalid"));
	memset(too_long, 'a', sizeof too_long - 1);
	CHECK(fixture_publish(&c, too_long, "x", 1) == KB_BROKER_INVALID);
	struct kb_message nul = {.key = KB_SLICE_LITERAL("a\0b")};
	CHECK(c.api->publish->publish(c.broker, &nul, &sequence) == KB_BROKER_INVALID);
	struct kb_message reply = {.key = KB_SLICE_LITERAL("a"), .reply = KB_SLICE_LITERAL("b c")};
	CHECK(c.api->publish->publish(c.broker, &reply, &sequence) == KB_BROKER_INVALID);

	too_long[4000] = '\0';
	CHECK(fixture_publish(&c, too_long, "longest", 7) == KB_BROKER_OK);
	CHECK(fixture_publish(&c, "a*b.>c.\xc3\xa4", "odd but right", 13) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 2) && strcmp(c.subject, "a*b.>c.\xc3\xa4") == 0);
	CHECK(c.n == 2);
	fixture_close(&c);
}

static void wrong_subscriptions_are_refused(const char *const *url)
{
	static const char *const wrong[] = {"", "a b", "a.>.b", "a..b"};
	struct kb_subscription s, more[4];
	struct fixture_client c;
	fixture_connect(&c, &s, url, &FOO);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(fixture_subscribe(&c, &more[i], &wrong[i], "", 0) == KB_BROKER_INVALID);
	CHECK(fixture_subscribe(&c, &more[0], &FOO, "a group", 0) == KB_BROKER_INVALID);
	CHECK(fixture_publish(&c, "foo", "x", 1) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 1));
	fixture_close(&c);
}

static void replies_and_headers_pass(const char *const *url)
{
	struct kb_subscription s;
	struct fixture_client c;
	struct kb_buf headers = {0};
	uint64_t sequence;
	const char *wild = "foo.*";
	fixture_connect(&c, &s, url, &wild);
	kb_headers_add(&headers, KB_SLICE_LITERAL("Nats-Msg-Id"), KB_SLICE_LITERAL("4711"));
	struct kb_message m = {.key = KB_SLICE_LITERAL("foo.bar"),
		.reply = KB_SLICE_LITERAL("answers.here"),
		.headers = kb_buf_slice(&headers),
		.payload = KB_SLICE_LITERAL("p\0q")};
	CHECK(c.api->publish->publish(c.broker, &m, &sequence) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 1));
	CHECK(strcmp(c.subject, "foo.bar") == 0 && strcmp(c.reply, "answers.here") == 0);
	CHECK(strcmp(c.headers, "Nats-Msg-Id=4711;") == 0);
	CHECK(c.payload_size == 3 && memcmp(c.payload, "p\0q", 3) == 0);

	kb_headers_add(&headers, KB_SLICE_LITERAL("Nats-Msg-Id"), KB_SLICE_LITERAL("4712"));
	m.headers = kb_buf_slice(&headers);
	m.reply = (struct kb_slice){0};
	CHECK(c.api->publish->publish(c.broker, &m, &sequence) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 2) && strcmp(c.reply, "") == 0);
	CHECK(strcmp(c.headers, "Nats-Msg-Id=4711;Nats-Msg-Id=4712;") == 0);

	kb_buf_clear(&headers);
	kb_headers_add(&headers, KB_SLICE_LITERAL("A"), KB_SLICE_LITERAL("x\r\ny"));
	m.headers = kb_buf_slice(&headers);
	CHECK(c.api->publish->publish(c.broker, &m, &sequence) == KB_BROKER_INVALID);
	kb_buf_free(&headers);
	fixture_close(&c);
}

/* The server passes headers on as they are. Whatever they hold, the message after them arrives. */
static void broken_headers_do_no_harm(const struct fixture_server *server)
{
	static const char *const broken[] = {"", "\r\n", "NATS/1.0", "NATS/1.0\r\n", "NATS/1.0\r\n\r\n",
		"NATS/1.0\r\nno colon\r\n\r\n", "NATS/1.0\r\n: no name\r\n\r\n", "NATS/1.0\r\nA:\r\n\r\n",
		"NATS/1.0\r\nA:", "NATS/1.0\r\n folded: x\r\n\r\n", "NATS/1.0\r\nA: b\r\n c\r\n\td\r\n\r\n",
		"NATS/1.0 503\r\n\r\n", "NATS/1.0 100 Idle Heartbeat\r\nA: b\r\n\r\n", "NATS/1.0     \r\n\r\n",
		"NATS/9.9\r\nA: b\r\n\r\n", "%s%n%s%n", "NATS/1.0\r\nA: \xff\xfe\r\n\r\n", "NATS/1.0\r\r\r\n\n\n",
		"NATS/1.0\r\nA: b\r\nA: c\r\nA: d\r\n\r\n"};
	const char *url = server->url;
	struct kb_subscription s;
	struct fixture_client c;
	char command[300];
	fixture_connect(&c, &s, &url, &FOO);
	CHECK(fixture_flush(&c));
	fixture_forget_log();
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		size_t n = strlen(broken[i]);
		int size = snprintf(
			command, sizeof command, "HPUB foo %zu %zu\r\n%sdata\r\nPUB foo 6\r\nnormal\r\n", n, n + 4, broken[i]);
		size_t before = c.n;
		fixture_say(server, command, (size_t)size);
		CHECK(fixture_wait(&c, before + (n ? 2 : 1)));
		CHECK(strcmp(c.payload, "normal") == 0 && strcmp(c.headers, "") == 0);
	}
	CHECK(fixture_logged("without its headers"));
	fixture_close(&c);
}

static void publish_numbers(struct fixture_client *c, unsigned from, unsigned to)
{
	char number[20];
	for (unsigned i = from; i < to; i++) {
		int n = snprintf(number, sizeof number, "%u", i);
		while (fixture_publish(c, "foo", number, (size_t)n) == KB_BROKER_AGAIN)
			c->api->process(c->broker, 0);
	}
}

static void order_holds_and_batches_are_bounded(const char *const *url)
{
	enum { N = 20000 };
	struct kb_subscription s;
	struct fixture_client c;
	int64_t until = kb_clock_ms() + SOON_MS;
	bool again = false;
	fixture_connect(&c, &s, url, &FOO);
	publish_numbers(&c, 0, N);
	while (c.n < N && kb_clock_ms() < until) {
		size_t before = c.n;
		enum kb_broker_result result = c.api->process(c.broker, 5);
		CHECK(result >= KB_BROKER_OK && c.n - before <= 5);
		again |= result == KB_BROKER_AGAIN;
	}
	CHECK(c.n == N && c.expected == N && again);
	fixture_close(&c);
}

static void a_delivery_without_room_is_kept(const char *const *url)
{
	enum { N = 5000 };
	struct kb_subscription s;
	struct fixture_client c;
	fixture_connect(&c, &s, url, &FOO);
	c.room = 10;
	publish_numbers(&c, 0, N);
	CHECK(fixture_wait(&c, 10) && fixture_wait_readable(&c));
	for (int i = 0; i < 5; i++) {
		size_t offers = c.offers;
		c.api->process(c.broker, 64);
		CHECK(c.offers == offers + 1); /* the same message, and no other */
	}
	CHECK(!(c.api->poll_events(c.broker) & POLLIN));
	CHECK(c.api->poll_timeout_ms(c.broker) <= 100);
	c.room = SIZE_MAX;
	CHECK(fixture_wait(&c, N) && c.expected == N);
	CHECK(c.api->poll_events(c.broker) & POLLIN);
	fixture_close(&c);
}

static void queue_groups_share(const char *const *url)
{
	enum { N = 2000 };
	struct kb_subscription s[3];
	struct fixture_client a, b, all;
	fixture_open(&a, url, 1, 0);
	fixture_open(&b, url, 1, 0);
	CHECK(a.api->connect(a.broker) == KB_BROKER_OK && b.api->connect(b.broker) == KB_BROKER_OK);
	CHECK(fixture_subscribe(&a, &s[0], &FOO, "group", 0) == KB_BROKER_OK);
	CHECK(fixture_subscribe(&b, &s[1], &FOO, "group", 0) == KB_BROKER_OK);
	CHECK(fixture_flush(&a) && fixture_flush(&b));
	fixture_connect(&all, &s[2], url, &FOO);
	publish_numbers(&all, 0, N);
	CHECK(fixture_wait(&all, N));
	CHECK(fixture_flush(&a) && fixture_flush(&b));
	CHECK(a.n + b.n == N && a.n > N / 10 && b.n > N / 10);
	fixture_close(&a);
	fixture_close(&b);
	fixture_close(&all);
}

static void several_subscriptions_keep_their_index(const char *const *url)
{
	struct kb_subscription s[2];
	struct fixture_client c;
	const char *bar = "bar.>";
	fixture_connect(&c, &s[0], url, &FOO);
	CHECK(fixture_subscribe(&c, &s[1], &bar, "", 9) == KB_BROKER_OK);
	CHECK(fixture_publish(&c, "bar.x.y", "1", 1) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 1) && c.subscription == 9 && strcmp(c.subject, "bar.x.y") == 0);
	CHECK(fixture_publish(&c, "foo", "1", 1) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 2) && c.subscription == 7);
	fixture_close(&c);
}
static void what_was_published_is_sent_before_close(const char *const *url)
{
	enum { N = 3000 };
	struct kb_subscription s;
	struct fixture_client to, from;
	fixture_connect(&to, &s, url, &FOO);
	CHECK(fixture_flush(&to));
	fixture_open(&from, url, 1, 0);
	CHECK(from.api->connect(from.broker) == KB_BROKER_OK);
	publish_numbers(&from, 0, N);
	fixture_close(&from);
	CHECK(fixture_wait(&to, N) && to.expected == N);
	fixture_close(&to);
}

static int open_descriptors(void)
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void connections_leave_nothing_behind(const char *const *url)
{
	struct kb_subscription s;
	struct fixture_client c;
	fixture_connect(&c, &s, url, &FOO);
	int before = open_descriptors();
	for (int i = 0; i < 20; i++) {
		CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
		CHECK(fixture_subscribe(&c, &s, &FOO, "", 0) == KB_BROKER_OK);
		CHECK(fixture_publish(&c, "foo", "unsent", 6) == KB_BROKER_OK);
	}
	CHECK(open_descriptors() == before);
	fixture_close(&c);
}
int main(void)
{
	struct fixture_server server;
	fixture_catch_log();
	fixture_start(&server, "");
	const char *url = server.url;
	payloads_are_bytes(&url);
	wrong_subjects_are_refused(&url);
	wrong_subscriptions_are_refused(&url);
	replies_and_headers_pass(&url);
	broken_headers_do_no_harm(&server);
	order_holds_and_batches_are_bounded(&url);
	a_delivery_without_room_is_kept(&url);
	queue_groups_share(&url);
	several_subscriptions_keep_their_index(&url);
	what_was_published_is_sent_before_close(&url);
	connections_leave_nothing_behind(&url);
	fixture_kill(&server);
	fixture_forget_log();
	return fixture_failures ? 1 : 0;
}
