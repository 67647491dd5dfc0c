/* nats/broker: all that a server says on a connection with a subscription, a durable consumer, and messages that wait
 * for a stream and for a PONG. An input is cut where a line of it is empty; each part comes with a read of its own. */
#include <sys/socket.h>
#include <unistd.h>
#include "nats/broker.h"
#include "nats/headers.h"
#include "nats/number.h"
#include "nats/state.h"
#include "nats/subject.h"
#include "core/json_rewrite.h"
#include "core/log.h"
#include "fuzz.h"

enum { OPEN_MESSAGES = 3, MESSAGE_MAX = 512, BUDGET = 8, ROUNDS = 64 };

static unsigned offered;

static void on_settled(void *context, uint64_t sequence, bool multiple, enum kb_outcome outcome, const char *reason)
{
	(void)context, (void)sequence, (void)multiple;
	MUST(outcome == KB_DONE || (reason && reason[0]));
}

static void on_requeue(void *context, enum kb_requeue_cause cause, const char *reason)
{
	(void)context;
	MUST(cause == KB_RENEWED || (reason && reason[0]));
}

/* Takes two of three. */
static bool on_delivered(void *context, const struct kb_message *m)
{
	struct kb_broker *const *b = context;
	struct kb_slice rest = m->headers, name, value;
	MUST(m->payload.n <= MESSAGE_MAX && m->key.n);
	while (kb_headers_next(&rest, &name, &value))
		MUST(kb_nats_headers_is_name(name));
	MUST(rest.n == 0);
	if (++offered % 3 == 0)
		return false;
	kb_nats.consume->settle(*b, &m->origin, KB_DONE);
	return true;
}

static void no_log(enum kb_log_level level, const char *line)
{
	(void)level, (void)line;
}

/* -- a broker that has connected to `fd` -- */

static const char *const urls[] = {"nats://localhost:4222"}, *const routing[] = {"a.>"};
static const struct kb_durable durable = {.stream = "S", .name = "C", .max_deliver = 3};
static const struct kb_subscription subscriptions[] = {
	{.routing = routing, .n_routing = 1, .queue.name = "g", .exchange.name = ""},
	{.routing = routing, .n_routing = 1, .queue.name = "", .exchange.name = "", .durable = &durable}};

static void publish(struct kb_broker *b, const char *subject, uint32_t flags)
{
	uint64_t sequence;
	struct kb_message m = {.key = kb_slice_from(subject), .payload = KB_SLICE_LITERAL("x"), .origin = {.flags = flags}};
	MUST(kb_nats.publish->publish(b, &m, &sequence) == KB_BROKER_OK);
}

static struct kb_broker *connected(int fd, struct kb_broker **context)
{
	static const struct kb_broker_config config = {
		.urls = urls, .n_urls = 1, .client_name = "fuzz", .message_max = MESSAGE_MAX, .confirm = true};
	struct kb_broker_events events = {.context = context,
		.publish = {.settled = on_settled, .requeue = on_requeue},
		.consume.delivered = on_delivered};
	size_t bad;
	struct kb_broker *b = kb_nats.open(&config, &events, &bad);
	MUST(b);
	b->server = kb_nats_servers_next(&b->servers);
	b->link.tcp = fd;
	b->link.open = b->link.up = b->link.info.headers = true;
	b->generation = 1;
	for (uint32_t i = 0; i < 2; i++)
		MUST(kb_nats.consume->subscribe(b, &subscriptions[i], i) == KB_BROKER_OK);
	for (int i = 0; i < OPEN_MESSAGES; i++)
		publish(b, "a.b", 0), publish(b, "s", KB_STORED);
	/* Names that an input can know. */
	strcpy(b->subscriptions[1].durable.inbox, "_INBOX.d");
	strcpy(b->store.inbox, "_INBOX.s");
	return b;
}

/* -- what we say in turn -- */

/* Lines that a server takes, and JSON in what goes to JetStream. */
static void check_said(struct kb_slice said)
{
	struct kb_buf strict = {0};
	struct kb_json_error error;
	while (said.n) {
		struct kb_slice line = take_line(&said), word = line;
		size_t size = 0;
		MUST(line.n > 3 && line.n <= KB_NATS_LINE_MAX + 32 && line.p[line.n - 1] == '\r');
		if (memcmp(line.p, "PUB ", 4) != 0)
			continue;
		for (const char *c = line.p; c < line.p + line.n - 1; c++)
			if (*c == ' ')
				word = kb_slice(c + 1, (size_t)(line.p + line.n - 1 - c - 1));
		size = (size_t)kb_nats_number(word);
		MUST(size + 2 <= said.n && memcmp(said.p + size, "\r\n", 2) == 0);
		if (size && line.n > 12 && memcmp(line.p + 4, "$JS.API.", 8) == 0)
			MUST(kb_json_rewrite(kb_slice(said.p, size), NULL, 0, &strict, &error));
		said = kb_slice(said.p + size + 2, said.n - size - 2);
	}
	kb_buf_free(&strict);
}

static void hear(int fd, struct kb_buf *said)
{
	for (ssize_t n = 1; n > 0; said->n += n > 0 ? (size_t)n : 0) {
		char *to = kb_buf_reserve(said, 4096);
		MUST(to);
		n = recv(fd, to, 4096, MSG_DONTWAIT);
	}
}

/* The next part of the input: up to an empty line, which goes with it. */
static struct kb_slice take_part(struct kb_slice *rest)
{
	const char *end = memmem(rest->p, rest->n, "\n\n", 2);
	struct kb_slice part = kb_slice(rest->p, end ? (size_t)(end + 1 - rest->p) : rest->n);
	*rest = end ? kb_slice(end + 2, rest->n - part.n - 1) : kb_slice("", 0);
	return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct kb_slice rest = kb_slice(bytes, size);
	struct kb_buf said = {0};
	struct kb_broker *b;
	int ends[2];
	kb_log_set_sink(no_log);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	b = connected(ends[0], &b);
	offered = 0;
	for (enum kb_broker_result result = KB_BROKER_OK; rest.n && result != KB_BROKER_LOST;) {
		struct kb_slice part = take_part(&rest);
		MUST(send(ends[1], part.p, part.n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)part.n);
		int round = 0;
		do
			result = kb_nats.process(b, BUDGET);
		while (result != KB_BROKER_LOST && (result == KB_BROKER_AGAIN || b->held) && ++round < ROUNDS);
		hear(ends[1], &said);
	}
	check_said(kb_buf_slice(&said));
	close(ends[1]);
	kb_nats.close(b);
	kb_buf_free(&said);
	return 0;
}
