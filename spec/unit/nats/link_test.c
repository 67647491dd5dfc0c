/* nats/link: how a server that answers is told from one that does not, and that a login leaves no secret in memory. */
#include "nats/link.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

enum { INTERVAL_MS = 1000, PINGS_OUT_MAX = 3 };

static int64_t now = 100000;

static void say_pong(struct kb_nats_link *link, int server)
{
	CHECK(write(server, "PONG\r\n", 6) == 6);
	kb_nats_link_read(link, now);
}

/* The loopback is faster than the clock of milliseconds: the answer comes at the very time of the question. */
static void an_answer_at_once_is_one(struct kb_nats_link *link, int server)
{
	for (int i = 0; i < 5; i++) {
		now += INTERVAL_MS;
		size_t before = kb_nats_link_waiting(link);
		kb_nats_link_keep_alive(link, INTERVAL_MS, PINGS_OUT_MAX, now);
		CHECK(kb_nats_link_waiting(link) > before);
		say_pong(link, server);
	}
	CHECK(link->up);
}

/* What the other end got of it, once it reads. */
static size_t got(int server, char *to, size_t size)
{
	ssize_t n = recv(server, to, size, MSG_DONTWAIT);
	return n > 0 ? (size_t)n : 0;
}

static void many_pings_have_one_answer_until_it_is_written(struct kb_nats_link *link, int server)
{
	char text[64];
	kb_buf_clear(&link->out);
	link->out_sent = 0;
	for (int i = 0; i < 1000; i++)
		kb_nats_link_pong(link);
	kb_buf_append_slice(&link->out, KB_SLICE_LITERAL("+"));
	kb_nats_link_write(link);
	CHECK(got(server, text, sizeof text) == 7 && memcmp(text, "PONG\r\n+", 7) == 0);
	kb_nats_link_pong(link);
	kb_nats_link_write(link);
	CHECK(got(server, text, sizeof text) == 6);
}

static void silence_ends_it(struct kb_nats_link *link)
{
	for (int i = 0; i < PINGS_OUT_MAX; i++) {
		now += INTERVAL_MS;
		kb_nats_link_keep_alive(link, INTERVAL_MS, PINGS_OUT_MAX, now);
		CHECK(link->up);
	}
	now += INTERVAL_MS - 1;
	kb_nats_link_keep_alive(link, INTERVAL_MS, PINGS_OUT_MAX, now);
	CHECK(link->up);
	now++;
	kb_nats_link_keep_alive(link, INTERVAL_MS, PINGS_OUT_MAX, now);
	CHECK(!link->up);
	CHECK_CONTAINS(link->why, "stale connection");
}

/* -- logging in -- */

/* A server for one client, in a process of its own: says who it is, and answers what comes after that. */
static void serve(int listener)
{
	static const char info[] = "INFO {\"headers\":true}\r\n", pong[] = "PONG\r\n";
	char text[4096];
	size_t n = 0;
	int client = accept(listener, NULL, NULL);
	ssize_t got = client < 0 ? -1 : write(client, info, sizeof info - 1);
	while (got > 0 && !memmem(text, n, "PING\r\n", 6)) {
		got = read(client, text + n, sizeof text - n);
		n += got > 0 ? (size_t)got : 0;
	}
	if (got > 0)
		got = write(client, pong, sizeof pong - 1);
	while (got > 0)
		got = read(client, text, sizeof text);
	_exit(0);
}

static int listen_at(int *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
	*port = ntohs(address.sin_port);
	return listener;
}

/* The buffer has grown on an earlier connection, and would give its memory back when CONNECT has been sent. */
static void a_login_is_wiped_in_a_buffer_that_has_grown(void)
{
	struct kb_nats_server server = {.host = "127.0.0.1", .user = "u", .password = "secret"};
	struct kb_broker_config config = {.client_name = "test", .connect_timeout_ms = 10000};
	struct kb_nats_link link = {0};
	int listener = listen_at(&server.port);
	pid_t child = fork();
	if (child == 0)
		serve(listener);
	kb_buf_reserve(&link.out, 2 * KB_BUF_KEPT);
	link.out.spared = KB_BUF_USES - 1;
	CHECK(kb_nats_link_open(&link, &server, &config));
	CHECK(link.out.p && link.out.n == 0);
	CHECK(!link.out.p || !memmem(link.out.p, link.out.capacity, "secret", 6));
	kb_nats_link_free(&link);
	close(listener);
	waitpid(child, NULL, 0);
}

int main(void)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return 2;
	struct kb_nats_link link = {.open = true, .up = true, .tcp = ends[0], .heard_at = now};
	an_answer_at_once_is_one(&link, ends[1]);
	many_pings_have_one_answer_until_it_is_written(&link, ends[1]);
	silence_ends_it(&link);
	kb_nats_link_free(&link);
	close(ends[1]);
	a_login_is_wiped_in_a_buffer_that_has_grown();
	return check_failures ? 1 : 0;
}
