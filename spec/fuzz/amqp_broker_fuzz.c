/* amqp/broker: frames of a broker on a connection that publishes, requests and consumes. */
#include <amqp_tcp_socket.h>
#include <sys/socket.h>
#include <unistd.h>
#include "amqp/broker.h"
#include "amqp/publishing.h"
#include "amqp/requests.h"
#include "amqp/state.h"
#include "amqp/subscriptions.h"
#include "fuzz.h"

enum { OPEN_MESSAGES = 3, MESSAGE_MAX = 512, FRAME_MAX = 4096, CHANNELS = 8, BUDGET = 8, ROUNDS = 64 };

static unsigned offered;

static void check_list(struct kb_slice list)
{
	struct kb_slice name, value;
	while (kb_headers_next(&list, &name, &value))
		MUST(value.p);
	MUST(list.n == 0);
}

static void check_message(const struct kb_message *m)
{
	struct kb_buf copy = {0};
	struct kb_message again;
	size_t size = kb_message_size(m);
	MUST(m->payload.n <= MESSAGE_MAX);
	kb_message_encode(m, kb_buf_reserve(&copy, size)); /* reads all of it */
	MUST(kb_message_decode(copy.p, size, &again));
	check_list(m->headers);
	check_list(m->properties);
	kb_buf_free(&copy);
}

static void on_settled(void *context, uint64_t sequence, bool multiple, enum kb_outcome outcome, const char *reason)
{
	(void)context, (void)sequence, (void)multiple;
	MUST(outcome == KB_DONE || reason);
}

static void on_requeue(void *context, enum kb_requeue_cause cause, const char *reason)
{
	(void)context;
	MUST(cause == KB_RENEWED || reason);
}

/* Takes two of three. */
static bool on_delivered(void *context, const struct kb_message *m)
{
	struct kb_broker *const *b = context;
	check_message(m);
	if (++offered % 3 == 0)
		return false;
	kb_amqp.consume->settle(*b, &m->origin, offered % 2 ? KB_DONE : KB_REQUEUE);
	return true;
}

static void on_returned(void *context, const struct kb_message *m, const char *reason)
{
	(void)context;
	check_message(m);
	MUST(reason);
}

static void on_unroutable(void *context, struct kb_slice exchange, struct kb_slice id)
{
	(void)context;
	MUST(exchange.n < 256 && id.n < 256);
}

static void no_log(enum kb_log_level level, const char *line)
{
	(void)level, (void)line;
}

/* -- a broker that has connected to `fd` -- */

static const char *const urls[] = {"amqp://localhost"};
static const struct kb_broker_config config = {
	.urls = urls, .n_urls = 1, .client_name = "fuzz", .role = KB_ROLE_PUBLISH, .message_max = MESSAGE_MAX};
static const struct kb_subscription acked = {.queue.name = "q", .exchange.name = "e"},
									no_ack = {.queue.name = "q2", .exchange.name = "e", .no_ack = true};

static void log_in(struct kb_amqp_link *link, int fd)
{
	static char first[] = {AMQP_FRAME_METHOD, 0, 1, 0, 0, 0, 4, 0, 20, 0, 41, (char)AMQP_FRAME_END};
	link->connection = amqp_new_connection();
	amqp_socket_t *socket = link->connection ? amqp_tcp_socket_new(link->connection) : NULL;
	struct timeval at_once = {0, 1000};
	amqp_frame_t ignored;
	/* With its first frame the library has the handshake behind it. */
	MUST(socket && amqp_handle_input(link->connection, (amqp_bytes_t){sizeof first, first}, &ignored) > 0);
	MUST(amqp_tune_connection(link->connection, CHANNELS, FRAME_MAX, 0) == AMQP_STATUS_OK);
	amqp_set_rpc_timeout(link->connection, &at_once);
	amqp_tcp_socket_set_sockfd(socket, fd);
}

static void publish(struct kb_broker *b, uint32_t flags)
{
	uint64_t sequence;
	struct kb_message m = {.exchange = KB_SLICE_LITERAL("e"),
		.key = KB_SLICE_LITERAL("k"),
		.payload = KB_SLICE_LITERAL("{}"),
		.origin = {.flags = flags}};
	MUST(kb_amqp.publish->publish(b, &m, &sequence) == KB_BROKER_OK);
}

static const struct kb_broker_events of_a_consumer = {.consume.delivered = on_delivered},
									 of_all = {.publish = {.settled = on_settled,
												   .requeue = on_requeue,
												   .returned = on_returned},
										 .consume.delivered = on_delivered,
										 .request.unroutable = on_unroutable};

static void publish_all(struct kb_broker *b)
{
	b->publishing.open = true;
	for (int i = 0; i < OPEN_MESSAGES; i++)
		publish(b, 0);
	publish(b, KB_EXPIRES); /* a request, on the highest channel */
}

static struct kb_broker *connected(int fd, struct kb_broker **context, bool only_consumes)
{
	struct kb_broker_events events = only_consumes ? of_a_consumer : of_all;
	events.context = context;
	size_t bad;
	struct kb_broker *b = kb_amqp.open(&config, &events, &bad);
	MUST(b && (b->subscriptions = calloc(2, sizeof *b->subscriptions)));
	log_in(&b->link, fd);
	b->n_subscriptions = 2;
	b->subscriptions[0] = (struct kb_amqp_subscription){.s = &acked, .generation = 1};
	b->subscriptions[1] = (struct kb_amqp_subscription){.s = &no_ack, .generation = 2};
	if (!only_consumes)
		publish_all(b);
	return b;
}

/* However contents are cut off and begun again, they take no more memory than one. */
static void check_content(const struct kb_amqp_content *c)
{
	MUST(c->body.n <= MESSAGE_MAX && c->useless <= KB_AMQP_USELESS_MAX);
}

static void check_contents(const struct kb_broker *b)
{
	check_content(&b->publishing.returned);
	for (size_t i = 0; i < b->n_subscriptions; i++)
		check_content(&b->subscriptions[i].incoming);
	for (size_t i = 0; i < KB_AMQP_REQUEST_CHANNELS; i++)
		check_content(&b->requests[i].returned);
}

/* The broker says no more afterwards: whoever waits for an answer does not wait. */
static void say(int fd, struct kb_slice bytes)
{
	MUST(send(fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)bytes.n);
	shutdown(fd, SHUT_WR);
}

static void run(struct kb_slice bytes, bool only_consumes)
{
	struct kb_broker *b;
	int ends[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	b = connected(ends[0], &b, only_consumes);
	offered = 0;
	say(ends[1], bytes);
	for (int round = 0; round < ROUNDS && kb_amqp.process(b, BUDGET) != KB_BROKER_LOST; round++) {
		check_contents(b);
		/* poll() tells of a closed peer whatever it was asked for */
		MUST(kb_amqp.poll_events(b) || kb_amqp.poll_fd(b) < 0);
	}
	close(ends[1]);
	kb_amqp.close(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	kb_log_set_sink(no_log);
	run(kb_slice(bytes, size), false);
	run(kb_slice(bytes, size), true);
	return 0;
}
