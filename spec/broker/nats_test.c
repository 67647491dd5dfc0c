/* broker/nats against a real nats-server: what broker.h promises, and what a server can do to it. */
#include "fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *const FOO = "foo";

/* One client that is connected to one server, subscribed to `subject`. */
static void connected(
	struct fixture_client *c, struct kb_subscription *s, const char *const *url, const char *const *subject)
{
	fixture_open(c, url, 1, 0);
	CHECK(c->api->connect(c->broker) == KB_BROKER_OK);
	CHECK(fixture_subscribe(c, s, subject, "", 7) == KB_BROKER_OK);
}

static void payloads_are_bytes(const char *const *url)
{
	enum { MAX = 1024 * 1024 };
	static char big[MAX + 1];
	struct kb_subscription s;
	struct fixture_client c;
	connected(&c, &s, url, &FOO);

	CHECK(fixture_publish(&c, "foo", "a\0b\r\n\xff", 6) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 1, 2000));
	CHECK(c.payload_size == 6 && memcmp(c.payload, "a\0b\r\n\xff", 6) == 0);
	CHECK(strcmp(c.subject, "foo") == 0 && strcmp(c.reply, "") == 0 && strcmp(c.headers, "") == 0);
	CHECK(c.subscription == 7);

	CHECK(fixture_publish(&c, "foo", NULL, 0) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 2, 2000) && c.payload_size == 0);

	for (size_t i = 0; i < MAX; i++)
		big[i] = (char)(i * 7 + i / 251);
	CHECK(fixture_publish(&c, "foo", big, MAX) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 3, 5000) && c.payload_size == MAX && memcmp(c.payload, big, MAX) == 0);

	fixture_forget_log();
	CHECK(fixture_publish(&c, "foo", big, MAX + 1) == KB_BROKER_INVALID);
	CHECK(fixture_logged("1048577") && fixture_logged("1048576"));
	CHECK(fixture_publish(&c, "foo", "after", 5) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 4, 2000) && strcmp(c.payload, "after") == 0);
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
	connected(&c, &s, url, &all);
	fixture_forget_log();
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(fixture_publish(&c, wrong[i], "x", 1) == KB_BROKER_INVALID);
	CHECK(fixture_logged("cannot be published to"));
	memset(too_long, 'a', sizeof too_long - 1);
	CHECK(fixture_publish(&c, too_long, "x", 1) == KB_BROKER_INVALID);
	struct kb_message nul = {.key = KB_SLICE_LITERAL("a\0b")};
	CHECK(c.api->publish(c.broker, &nul, &sequence) == KB_BROKER_INVALID);
	struct kb_message reply = {.key = KB_SLICE_LITERAL("a"), .reply = KB_SLICE_LITERAL("b c")};
	CHECK(c.api->publish(c.broker, &reply, &sequence) == KB_BROKER_INVALID);

	too_long[4000] = '\0';
	CHECK(fixture_publish(&c, too_long, "longest", 7) == KB_BROKER_OK);
	CHECK(fixture_publish(&c, "a*b.>c.\xc3\xa4", "odd but right", 13) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 2, 2000) && strcmp(c.subject, "a*b.>c.\xc3\xa4") == 0);
	CHECK(c.n == 2);
	fixture_close(&c);
}

static void wrong_subscriptions_are_refused(const char *const *url)
{
	static const char *const wrong[] = {"", "a b", "a.>.b", "a..b"};
	struct kb_subscription s, more[4];
	struct fixture_client c;
	connected(&c, &s, url, &FOO);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(fixture_subscribe(&c, &more[i], &wrong[i], "", 0) == KB_BROKER_INVALID);
	CHECK(fixture_subscribe(&c, &more[0], &FOO, "a group", 0) == KB_BROKER_INVALID);
	CHECK(fixture_publish(&c, "foo", "x", 1) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 1, 2000));
	fixture_close(&c);
}

static void replies_and_headers_pass(const char *const *url)
{
	struct kb_subscription s;
	struct fixture_client c;
	struct kb_buf headers = {0};
	uint64_t sequence;
	const char *wild = "foo.*";
	connected(&c, &s, url, &wild);
	kb_headers_add(&headers, KB_SLICE_LITERAL("Nats-Msg-Id"), KB_SLICE_LITERAL("4711"));
	struct kb_message m = {.key = KB_SLICE_LITERAL("foo.bar"),
		.reply = KB_SLICE_LITERAL("answers.here"),
		.headers = kb_buf_slice(&headers),
		.payload = KB_SLICE_LITERAL("p\0q")};
	CHECK(c.api->publish(c.broker, &m, &sequence) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 1, 2000));
	CHECK(strcmp(c.subject, "foo.bar") == 0 && strcmp(c.reply, "answers.here") == 0);
	CHECK(strcmp(c.headers, "Nats-Msg-Id=4711;") == 0);
	CHECK(c.payload_size == 3 && memcmp(c.payload, "p\0q", 3) == 0);

	kb_headers_add(&headers, KB_SLICE_LITERAL("Nats-Msg-Id"), KB_SLICE_LITERAL("4712"));
	m.headers = kb_buf_slice(&headers);
	m.reply = (struct kb_slice){0};
	CHECK(c.api->publish(c.broker, &m, &sequence) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 2, 2000) && strcmp(c.reply, "") == 0);
	CHECK(strcmp(c.headers, "Nats-Msg-Id=4711;Nats-Msg-Id=4712;") == 0);

	kb_buf_clear(&headers);
	kb_headers_add(&headers, KB_SLICE_LITERAL("A"), KB_SLICE_LITERAL("x\r\ny"));
	m.headers = kb_buf_slice(&headers);
	CHECK(c.api->publish(c.broker, &m, &sequence) == KB_BROKER_INVALID);
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
	connected(&c, &s, &url, &FOO);
	fixture_wait_for(&c, KB_BROKER_OK, 1000);
	fixture_sleep_ms(50);
	fixture_forget_log();
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		size_t n = strlen(broken[i]);
		int size = snprintf(
			command, sizeof command, "HPUB foo %zu %zu\r\n%sdata\r\nPUB foo 6\r\nnormal\r\n", n, n + 4, broken[i]);
		size_t before = c.n;
		fixture_say(server, command, (size_t)size);
		CHECK(fixture_wait(&c, before + (n ? 2 : 1), 2000));
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
	int64_t until = kb_now_ms() + 10000;
	bool again = false;
	connected(&c, &s, url, &FOO);
	publish_numbers(&c, 0, N);
	while (c.n < N && kb_now_ms() < until) {
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
	connected(&c, &s, url, &FOO);
	c.room = 10;
	publish_numbers(&c, 0, N);
	CHECK(fixture_wait(&c, 10, 2000));
	fixture_sleep_ms(50);
	for (int i = 0; i < 5; i++) {
		size_t offers = c.offers;
		c.api->process(c.broker, 64);
		CHECK(c.offers == offers + 1); /* the same message, and no other */
	}
	CHECK(!(c.api->poll_events(c.broker) & POLLIN));
	CHECK(c.api->poll_timeout_ms(c.broker) <= 100);
	c.room = SIZE_MAX;
	CHECK(fixture_wait(&c, N, 5000) && c.expected == N);
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
	CHECK(fixture_wait_for(&a, KB_BROKER_OK, 1000) && fixture_wait_for(&b, KB_BROKER_OK, 1000));
	connected(&all, &s[2], url, &FOO);
	fixture_sleep_ms(100);
	publish_numbers(&all, 0, N);
	CHECK(fixture_wait(&all, N, 5000));
	for (int i = 0; i < 100 && a.n + b.n < N; i++) {
		fixture_wait(&a, a.n + 1, 10);
		fixture_wait(&b, b.n + 1, 10);
	}
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
	connected(&c, &s[0], url, &FOO);
	CHECK(fixture_subscribe(&c, &s[1], &bar, "", 9) == KB_BROKER_OK);
	CHECK(fixture_publish(&c, "bar.x.y", "1", 1) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 1, 2000) && c.subscription == 9 && strcmp(c.subject, "bar.x.y") == 0);
	CHECK(fixture_publish(&c, "foo", "1", 1) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 2, 2000) && c.subscription == 7);
	fixture_close(&c);
}

static void a_killed_server_is_noticed_and_found_again(void)
{
	struct fixture_server server;
	struct kb_subscription s;
	struct fixture_client c;
	fixture_start(&server, "");
	const char *url = server.url;
	connected(&c, &s, &url, &FOO);
	fixture_kill(&server);
	int64_t killed = kb_now_ms();
	fixture_forget_log();
	CHECK(fixture_wait_for(&c, KB_BROKER_LOST, 2000));
	CHECK(kb_now_ms() - killed < 200);
	CHECK(fixture_logged("lost"));
	CHECK(fixture_publish(&c, "foo", "x", 1) == KB_BROKER_LOST);
	CHECK(c.api->process(c.broker, 1) == KB_BROKER_LOST);
	CHECK(c.api->connect(c.broker) == KB_BROKER_LOST);
	CHECK(fixture_logged("cannot connect to 127.0.0.1:"));
	fixture_restart(&server);
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
	CHECK(fixture_subscribe(&c, &s, &FOO, "", 7) == KB_BROKER_OK);
	CHECK(fixture_publish(&c, "foo", "back", 4) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 1, 2000) && strcmp(c.payload, "back") == 0);
	fixture_close(&c);
	fixture_kill(&server);
}

static long sleeps(void)
{
	struct rusage usage;
	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

/* Against a server that is stopped: no call waits, and in the end there is no room. A thread that waits gives up the
 * processor of its own will, which the kernel counts; unlike a clock that is exact on a busy machine, too. */
static size_t publish_to_frozen(struct fixture_client *c)
{
	static char payload[1000];
	size_t taken = 0;
	long before = sleeps();
	int64_t start = kb_now_ms();
	for (int refused = 0; refused < 100;) {
		enum kb_broker_result result = fixture_publish(c, "foo", payload, sizeof payload);
		CHECK(result == KB_BROKER_OK || result == KB_BROKER_AGAIN);
		taken += result == KB_BROKER_OK;
		refused += result == KB_BROKER_AGAIN;
		CHECK(c->api->process(c->broker, 64) >= KB_BROKER_OK);
	}
	CHECK(sleeps() == before);
	CHECK(kb_now_ms() - start < 2000);
	return taken;
}

static void a_frozen_server_blocks_nobody(void)
{
	struct fixture_server server;
	struct kb_subscription s;
	struct fixture_client c;
	fixture_start(&server, "");
	const char *url = server.url;
	connected(&c, &s, &url, &FOO);
	CHECK(fixture_publish(&c, "foo", "x", 1) == KB_BROKER_OK && fixture_wait(&c, 1, 2000));
	fixture_freeze(&server);
	size_t taken = publish_to_frozen(&c);
	CHECK(taken > 500);
	CHECK(c.api->poll_events(c.broker) & POLLOUT);
	fixture_thaw(&server);
	CHECK(fixture_wait(&c, taken + 1, 10000));
	CHECK(c.n == taken + 1);
	fixture_close(&c);
	fixture_kill(&server);
}

static void a_server_frozen_for_long_is_given_up(void)
{
	struct fixture_server server;
	struct fixture_client c;
	fixture_start(&server, "");
	const char *url = server.url;
	fixture_open(&c, &url, 1, 1);
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
	CHECK(!fixture_wait_for(&c, KB_BROKER_LOST, 2500)); /* it answers the pings */
	fixture_freeze(&server);
	int64_t frozen = kb_now_ms();
	CHECK(fixture_wait_for(&c, KB_BROKER_LOST, 8000));
	CHECK(kb_now_ms() - frozen < 6000);
	CHECK(fixture_logged("tale"));

	int64_t start = kb_now_ms();
	CHECK(c.api->connect(c.broker) == KB_BROKER_LOST);
	CHECK(kb_now_ms() - start < 1000);
	fixture_thaw(&server);
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);

	fixture_freeze(&server);
	publish_to_frozen(&c);
	start = kb_now_ms();
	fixture_close(&c); /* the rest cannot go out: it waits a while, not for ever */
	CHECK(kb_now_ms() - start < 1500);
	fixture_thaw(&server);
	fixture_kill(&server);
}

static void addresses_are_tried_in_order(void)
{
	struct fixture_server a, b;
	struct fixture_client c;
	char dead[64], address[64];
	fixture_start(&a, "");
	fixture_start(&b, "");
	snprintf(dead, sizeof dead, "127.0.0.1:%d", fixture_free_port());
	const char *urls[] = {dead, a.url, b.url};
	fixture_open(&c, urls, 3, 0);
	CHECK(c.api->connect(c.broker) == KB_BROKER_LOST);
	CHECK(strcmp(c.api->address(c.broker), dead) == 0);
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
	CHECK(strcmp(c.api->address(c.broker), a.url + 7) == 0);
	fixture_kill(&a);
	CHECK(fixture_wait_for(&c, KB_BROKER_LOST, 2000));
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
	CHECK(strcmp(c.api->address(c.broker), b.url + 7) == 0);
	fixture_kill(&b);
	CHECK(fixture_wait_for(&c, KB_BROKER_LOST, 2000));
	CHECK(c.api->connect(c.broker) == KB_BROKER_LOST);
	snprintf(address, sizeof address, "%s", c.api->address(c.broker));
	CHECK(strcmp(address, dead) == 0);
	fixture_close(&c);
}

static void announced_servers_are_tried(void)
{
	struct fixture_server a, b;
	struct fixture_client c;
	char config_a[300], config_b[300];
	int route = fixture_free_port();
	const char *cluster = "cluster { name: t, listen: 127.0.0.1:%d, routes: [%s] }\n"
						  "authorization { user: u, password: \"a\\\"b\" }";
	char to_a[64];
	snprintf(to_a, sizeof to_a, "nats://127.0.0.1:%d", route);
	snprintf(config_a, sizeof config_a, cluster, route, "");
	fixture_start(&a, config_a);
	snprintf(config_b, sizeof config_b, cluster, fixture_free_port(), to_a);
	fixture_start(&b, config_b);
	CHECK(fixture_await_announced(&a, 2, 10000));
	char url[100];
	snprintf(url, sizeof url, "nats://u:a\"b@127.0.0.1:%d", a.port);
	const char *urls[] = {url};
	fixture_open(&c, urls, 1, 0);
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
	fixture_kill(&a);
	CHECK(fixture_wait_for(&c, KB_BROKER_LOST, 2000));
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
	CHECK(strcmp(c.api->address(c.broker), b.url + 7) == 0);
	fixture_close(&c);
	fixture_kill(&b);
}

/* The servers of one cluster are nothing to another one: they would get its credentials. */
static void announced_servers_go_with_their_cluster(void)
{
	struct fixture_server a, b, alone;
	struct fixture_client c;
	char config_a[200], config_b[200], to_a[64], url[100];
	int route = fixture_free_port();
	snprintf(config_a, sizeof config_a, "cluster { name: t, listen: 127.0.0.1:%d }", route);
	snprintf(to_a, sizeof to_a, "nats://127.0.0.1:%d", route);
	snprintf(config_b, sizeof config_b, "cluster { name: t, listen: 127.0.0.1:%d, routes: [%s] }", fixture_free_port(),
		to_a);
	fixture_start(&a, config_a);
	fixture_start(&b, config_b);
	fixture_start(&alone, "authorization { user: u, password: secret }");
	CHECK(fixture_await_announced(&a, 2, 10000));
	snprintf(url, sizeof url, "nats://u:secret@127.0.0.1:%d", alone.port);
	const char *urls[] = {a.url, url};
	fixture_open(&c, urls, 2, 0);
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
	fixture_kill(&a);
	CHECK(fixture_wait_for(&c, KB_BROKER_LOST, 2000));
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
	CHECK(strcmp(c.api->address(c.broker), alone.url + 7) == 0);
	fixture_kill(&alone);
	CHECK(fixture_wait_for(&c, KB_BROKER_LOST, 2000));
	for (int i = 0; i < 3; i++) {
		CHECK(c.api->connect(c.broker) == KB_BROKER_LOST);
		CHECK(strcmp(c.api->address(c.broker), b.url + 7) != 0);
	}
	fixture_close(&c);
	fixture_kill(&b);
}

static void credentials_work_and_stay_secret(void)
{
	struct fixture_server server, token;
	struct fixture_client c;
	char right[100], wrong[100], with_token[100];
	fixture_start(&server, "authorization { user: alice, password: \"s3c@r/e:t\" }");
	fixture_start(&token, "authorization { token: \"t0ken\" }");
	snprintf(right, sizeof right, "nats://alice:s3c@r/e:t@127.0.0.1:%d", server.port);
	snprintf(wrong, sizeof wrong, "nats://alice:wr0ng@127.0.0.1:%d", server.port);
	snprintf(with_token, sizeof with_token, "nats://t0ken@127.0.0.1:%d", token.port);
	const char *urls[] = {wrong, server.url, right, with_token};
	fixture_open(&c, urls, 4, 0);
	fixture_forget_log();
	CHECK(c.api->connect(c.broker) == KB_BROKER_LOST);
	CHECK(fixture_logged("uthorization"));
	CHECK(c.api->connect(c.broker) == KB_BROKER_LOST);
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
	CHECK(fixture_logged("as user alice"));
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
	CHECK(fixture_logged("with a token"));
	CHECK(!fixture_logged("s3c") && !fixture_logged("wr0ng") && !fixture_logged("t0ken"));
	fixture_close(&c);
	fixture_kill(&server);
	fixture_kill(&token);
}

static void what_is_not_permitted_is_logged(void)
{
	struct fixture_server server;
	struct kb_subscription s, secret;
	struct fixture_client c;
	char url[100];
	const char *urls[] = {url}, *hidden = "secret.plans";
	fixture_start(&server, "authorization { users: [ { user: u, password: p, permissions: { publish: [\"foo\"], "
						   "subscribe: [\"foo\"] } } ] }");
	snprintf(url, sizeof url, "nats://u:p@127.0.0.1:%d", server.port);
	connected(&c, &s, urls, &FOO);
	fixture_forget_log();
	CHECK(fixture_subscribe(&c, &secret, &hidden, "group", 1) == KB_BROKER_OK);
	CHECK(!fixture_wait(&c, 1, 1200));
	CHECK(fixture_logged("secret.plans"));
	CHECK(fixture_publish(&c, "top.secret", "x", 1) == KB_BROKER_OK);
	CHECK(!fixture_wait(&c, 1, 1200));
	CHECK(fixture_logged("top.secret"));
	CHECK(fixture_publish(&c, "foo", "x", 1) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 1, 2000));
	fixture_close(&c);
	fixture_kill(&server);
}

static void what_was_published_is_sent_before_close(const char *const *url)
{
	enum { N = 3000 };
	struct kb_subscription s;
	struct fixture_client to, from;
	connected(&to, &s, url, &FOO);
	fixture_wait_for(&to, KB_BROKER_OK, 1000);
	fixture_sleep_ms(50);
	fixture_open(&from, url, 1, 0);
	CHECK(from.api->connect(from.broker) == KB_BROKER_OK);
	publish_numbers(&from, 0, N);
	fixture_close(&from);
	CHECK(fixture_wait(&to, N, 3000) && to.expected == N);
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
	connected(&c, &s, url, &FOO);
	int before = open_descriptors();
	for (int i = 0; i < 20; i++) {
		CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
		CHECK(fixture_subscribe(&c, &s, &FOO, "", 0) == KB_BROKER_OK);
		CHECK(fixture_publish(&c, "foo", "unsent", 6) == KB_BROKER_OK);
	}
	CHECK(open_descriptors() == before);
	fixture_close(&c);
}

static void addresses_that_cannot_be_read_are_named(void)
{
	const char *urls[] = {"nats://ok:4222", "http://user:s3cret@host"};
	struct kb_broker_config config = {.urls = urls, .n_urls = 2, .client_name = "test"};
	struct kb_broker_events events = {0};
	size_t bad = 0;
	fixture_forget_log();
	CHECK(!kb_nats.open(&config, &events, &bad));
	CHECK(bad == 1 && fixture_logged("address 2") && !fixture_logged("s3cret"));
	kb_nats.close(NULL);
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
	a_killed_server_is_noticed_and_found_again();
	a_frozen_server_blocks_nobody();
	a_server_frozen_for_long_is_given_up();
	addresses_are_tried_in_order();
	announced_servers_are_tried();
	announced_servers_go_with_their_cluster();
	credentials_work_and_stay_secret();
	what_is_not_permitted_is_logged();
	addresses_that_cannot_be_read_are_named();
	fixture_forget_log();
	return fixture_failures ? 1 : 0;
}
