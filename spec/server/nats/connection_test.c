/* nats/broker against real nats-servers: which one it connects to, as whom, and what becomes of it when one goes. */
#include "fixture.h"

#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>

static const char *const FOO = "foo";

static void a_killed_server_is_noticed_and_found_again(void)
{
	struct fixture_server server;
	struct kb_subscription s;
	struct fixture_client c;
	fixture_start(&server, "");
	const char *url = server.url;
	fixture_connect(&c, &s, &url, &FOO);
	fixture_kill(&server);
	fixture_forget_log();
	CHECK(fixture_wait_readable(&c)); /* that wakes the loop, not the time */
	CHECK(fixture_wait_lost(&c));
	CHECK(fixture_logged("lost"));
	CHECK(fixture_publish(&c, "foo", "x", 1) == KB_BROKER_LOST);
	CHECK(c.api->process(c.broker, 1) == KB_BROKER_LOST);
	CHECK(c.api->connect(c.broker) == KB_BROKER_LOST);
	CHECK(fixture_logged("cannot connect to 127.0.0.1:"));
	fixture_restart(&server);
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
	CHECK(fixture_subscribe(&c, &s, &FOO, "", 7) == KB_BROKER_OK);
	CHECK(fixture_publish(&c, "foo", "back", 4) == KB_BROKER_OK);
	CHECK(fixture_wait(&c, 1) && strcmp(c.payload, "back") == 0);
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
	for (int refused = 0; refused < 100;) {
		enum kb_broker_result result = fixture_publish(c, "foo", payload, sizeof payload);
		CHECK(result == KB_BROKER_OK || result == KB_BROKER_AGAIN);
		taken += result == KB_BROKER_OK;
		refused += result == KB_BROKER_AGAIN;
		CHECK(c->api->process(c->broker, 64) >= KB_BROKER_OK);
	}
	CHECK(sleeps() == before);
	return taken;
}

static void a_frozen_server_blocks_nobody(void)
{
	struct fixture_server server;
	struct kb_subscription s;
	struct fixture_client c;
	fixture_start(&server, "");
	const char *url = server.url;
	fixture_connect(&c, &s, &url, &FOO);
	CHECK(fixture_publish(&c, "foo", "x", 1) == KB_BROKER_OK && fixture_wait(&c, 1));
	fixture_freeze(&server);
	size_t taken = publish_to_frozen(&c);
	CHECK(taken > 500);
	CHECK(c.api->poll_events(c.broker) & POLLOUT);
	fixture_thaw(&server);
	CHECK(fixture_wait(&c, taken + 1));
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
	CHECK(fixture_stay(&c, 2500)); /* it answers the pings */
	fixture_freeze(&server);
	CHECK(fixture_wait_lost(&c));
	CHECK(fixture_logged("tale"));

	int64_t start = kb_clock_ms();
	CHECK(c.api->connect(c.broker) == KB_BROKER_LOST);
	CHECK(kb_clock_ms() - start < SOON_MS);
	fixture_thaw(&server);
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);

	fixture_freeze(&server);
	publish_to_frozen(&c);
	start = kb_clock_ms();
	fixture_close(&c); /* the rest cannot go out: it waits a while, not for ever */
	CHECK(kb_clock_ms() - start < SOON_MS);
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
	CHECK(fixture_wait_lost(&c));
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
	CHECK(strcmp(c.api->address(c.broker), b.url + 7) == 0);
	fixture_kill(&b);
	CHECK(fixture_wait_lost(&c));
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
	CHECK(fixture_await_announced(&a, 2));
	char url[100];
	snprintf(url, sizeof url, "nats://u:a\"b@127.0.0.1:%d", a.port);
	const char *urls[] = {url};
	fixture_open(&c, urls, 1, 0);
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
	fixture_kill(&a);
	CHECK(fixture_wait_lost(&c));
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
	CHECK(fixture_await_announced(&a, 2));
	snprintf(url, sizeof url, "nats://u:secret@127.0.0.1:%d", alone.port);
	const char *urls[] = {a.url, url};
	fixture_open(&c, urls, 2, 0);
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
	fixture_kill(&a);
	CHECK(fixture_wait_lost(&c));
	CHECK(c.api->connect(c.broker) == KB_BROKER_OK);
	CHECK(strcmp(c.api->address(c.broker), alone.url + 7) == 0);
	fixture_kill(&alone);
	CHECK(fixture_wait_lost(&c));
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

/* Each by a client of its own, since a client says such things once a second. */
static void what_is_not_permitted_is_logged(void)
{
	struct fixture_server server;
	struct kb_subscription s[2], secret;
	struct fixture_client reader, writer;
	char url[100];
	const char *urls[] = {url}, *hidden = "secret.plans";
	fixture_start(&server, "authorization { users: [ { user: u, password: p, permissions: { publish: [\"foo\"], "
						   "subscribe: [\"foo\"] } } ] }");
	snprintf(url, sizeof url, "nats://u:p@127.0.0.1:%d", server.port);
	fixture_connect(&reader, &s[0], urls, &FOO);
	fixture_connect(&writer, &s[1], urls, &FOO);
	fixture_forget_log();
	CHECK(fixture_subscribe(&reader, &secret, &hidden, "group", 1) == KB_BROKER_OK);
	CHECK(fixture_wait_logged(&reader, "secret.plans"));
	CHECK(fixture_publish(&writer, "top.secret", "x", 1) == KB_BROKER_OK);
	CHECK(fixture_wait_logged(&writer, "top.secret"));
	CHECK(fixture_publish(&writer, "foo", "x", 1) == KB_BROKER_OK);
	CHECK(fixture_wait(&writer, 1) && fixture_wait(&reader, 1));
	CHECK(reader.n == 1 && writer.n == 1);
	fixture_close(&reader);
	fixture_close(&writer);
	fixture_kill(&server);
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
	fixture_catch_log();
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
