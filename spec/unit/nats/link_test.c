/* nats/link: how a server that answers is told from one that does not. */
#include "nats/link.h"

#include <sys/socket.h>
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
	return check_failures ? 1 : 0;
}
