/* bus/requester with a broker that does as it is told: when requests can be sent, where their replies go on either bus,
 * and that nothing is read where nothing came. */
#include "bus/requester.h"

#include <unistd.h>
#include "amqp/reply_queue.h"
#include "bus/traffic.h"
#include "check.h"
#include "core/clock.h"
#include "core/counter.h"
#include "core/inbox.h"
#include "core/log.h"
#include "core/reply_id.h"
#include "nats/reply_inbox.h"

enum { CALLS_MAX = 16 };

struct kb_broker {
	struct kb_broker_events events;
	bool refuses;               /* the subscription */
	unsigned stand_at, fall_at; /* number of the process() in which it comes to stand, or does no longer */
	char queues[CALLS_MAX][64]; /* of the subscriptions, in their order */
	unsigned fail_connects;     /* that many do */
	unsigned n_queues, n_calls, lose_at, say_at, busy_from;
	unsigned read_at[CALLS_MAX]; /* whether the n-th process() was to read */
	bool open_at[CALLS_MAX];
	const char *reply, *correlation; /* delivered in the first process() */
	const char *subject;             /* of the reply, over NATS */
	const char *forbids;             /* the subject to which nothing may be published, said then */
	size_t too_large;                /* bytes of a reply that is refused then, with that correlation-id */
	bool returns;                    /* the request with that correlation-id then, or all to the exchange "x" */
	bool invalid;                    /* what is published cannot be sent */
	int fds[2];                      /* a pipe for the socket */
	volatile int stop;
};

#include "fake_broker.h"

static struct kb_replies *replies;
static struct kb_outbox *outbox;
static struct kb_connection *traffic;
static struct kb_inbox *inbox;

static enum kb_broker_result connect_at_last(struct kb_broker *b)
{
	return b->fail_connects && b->fail_connects-- ? KB_BROKER_LOST : KB_BROKER_OK;
}

static enum kb_broker_result fake_subscribe(struct kb_broker *b, const struct kb_subscription *s, uint32_t index)
{
	CHECK(index == 0);
	CHECK(!s->queue.exclusive || strcmp(s->queue.name, s->routing[0]) == 0);
	snprintf(b->queues[b->n_queues++], sizeof b->queues[0], "%s", s->routing[0]);
	if (b->refuses) {
		b->events.consume.fell(b->events.context, 0, "refused");
		return KB_BROKER_INVALID;
	}
	b->events.consume.waiting(b->events.context, 0, 0);
	return KB_BROKER_OK;
}

static enum kb_broker_result fake_publish(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence)
{
	(void)m;
	*sequence = 0; /* settled */
	return b->invalid ? KB_BROKER_INVALID : KB_BROKER_OK;
}

static void deliver(struct kb_broker *b)
{
	struct kb_buf properties = {0};
	if (b->correlation)
		kb_headers_add(&properties, KB_SLICE_LITERAL("correlation-id"), kb_slice_from(b->correlation));
	struct kb_message m = {.key = kb_slice_from(b->subject), .properties = kb_buf_slice(&properties)};
	if (b->forbids)
		b->events.request.forbidden(b->events.context, kb_slice_from(b->forbids), "no");
	if (b->too_large)
		b->events.consume.too_large(b->events.context, &m, b->too_large);
	if (b->returns)
		b->events.request.unroutable(b->events.context, KB_SLICE_LITERAL("x"),
			kb_headers_find(m.properties, KB_SLICE_LITERAL("correlation-id")));
	m.payload = kb_slice_from(b->reply ? b->reply : "");
	CHECK(!b->reply || b->events.consume.delivered(b->events.context, &m));
	kb_buf_free(&properties);
}

static enum kb_broker_result fake_process(struct kb_broker *b, unsigned max)
{
	unsigned call = b->n_calls++;
	char byte;
	b->read_at[call] = max > 0;
	b->open_at[call] = kb_replies_are_open(replies);
	if (call == 0)
		deliver(b);
	if (b->stand_at && call == b->stand_at)
		b->events.consume.waiting(b->events.context, 0, 0);
	if (b->fall_at && call == b->fall_at)
		b->events.consume.fell(b->events.context, 0, "gone");
	if (max && call == b->say_at + 1 && b->say_at)
		CHECK(read(b->fds[0], &byte, 1) == 1);
	if (b->say_at && call == b->say_at)
		CHECK(write(b->fds[1], "x", 1) == 1);
	if (b->busy_from && call >= b->busy_from)
		kb_outbox_put(outbox, 0, &(struct kb_message){.payload = KB_SLICE_LITERAL("{}")});
	if (b->n_calls == 6)
		b->stop = 1;
	return b->lose_at && call == b->lose_at ? KB_BROKER_LOST : KB_BROKER_OK;
}

static int fake_poll_fd(const struct kb_broker *b)
{
	return b->fds[0];
}

static const struct kb_broker_api api = {FAKE_BROKER, .connect = connect_at_last, .process = fake_process,
	.poll_fd = fake_poll_fd, .poll_timeout_ms = fake_short_timeout,
	.publish = &(const struct kb_publish_api){.publish = fake_publish},
	.consume = &(const struct kb_consume_api){.subscribe = fake_subscribe}};

static char own[64]; /* the id of the reply to a request of the process's own */

static bool own_reply(struct kb_slice id, const struct kb_message *reply)
{
	bool is_own = kb_slice_equal(id, KB_SLICE_LITERAL("own"));
	if (is_own)
		snprintf(own, sizeof own, "%.*s %s", KB_SLICE_FMT(id), reply ? "reply" : "unsent");
	return is_own;
}

static void begin(void)
{
	own[0] = '\0';
	kb_replies_destroy(replies);
	replies = kb_replies_create(1, 1, 1, 4096);
	fake = (struct kb_broker){0};
	CHECK(pipe(fake.fds) == 0);
}

static void run_bus(const struct kb_requester_bus *bus, void *context)
{
	kb_requester_run(&(struct kb_requester){.bus = bus,
		.context = context,
		.replies = replies,
		.own_reply = own_reply,
		.publisher = {.api = &api,
			.config = {.traffic = traffic},
			.outbox = outbox,
			.inbox = inbox,
			.name = "requester",
			.batch = 5,
			.timeout_ms = 1,
			.stop = &fake.stop}});
	kb_outbox_destroy(outbox);
	close(fake.fds[0]);
	close(fake.fds[1]);
}

static void run_with_outbox(void)
{
	struct kb_amqp_reply_queue queue = {.replies = replies, .prefix = "me"};
	run_bus(&kb_amqp_reply_queue, &queue);
	kb_buf_free(&queue.id);
}

static void run_over_nats(void)
{
	struct kb_nats_reply_inbox *replies_to = kb_nats_reply_inbox_create("_INBOX.x");
	run_bus(&kb_nats_reply_inbox, replies_to);
	kb_nats_reply_inbox_free(replies_to);
}

static void run(void)
{
	outbox = kb_outbox_create(1, 65536, 1);
	run_with_outbox();
}

static void request(const char *id, const char *exchange)
{
	CHECK(kb_reply_claim_own(replies, 0) == 0);
	kb_reply_begin(replies, 0, kb_slice_from(id), kb_slice_from(exchange), kb_clock_deadline_ms(60000));
}

static const char *text_of(struct kb_slice slice)
{
	static char text[64];
	snprintf(text, sizeof text, "%.*s", (int)slice.n, slice.p);
	return text;
}

static void test_a_queue_for_each_connection(void)
{
	begin();
	fake.lose_at = 2;
	run();
	CHECK(fake_role == (KB_ROLE_PUBLISH | KB_ROLE_CONSUME));
	CHECK(fake.n_queues == 2);
	CHECK_TEXT(fake.queues[0], "me-targeted-1");
	CHECK_TEXT(fake.queues[1], "me-targeted-2");
	CHECK_TEXT(text_of(kb_amqp_reply_queue_address(replies, "me")), "me-targeted-2");
}

static void test_lost_with_the_connection(void)
{
	struct kb_slice reply;
	begin();
	request("id", "");
	fake.lose_at = 2;
	run();
	CHECK(fake.open_at[2] && fake.open_at[3]); /* and between them not, or the question would not be lost */
	CHECK(kb_reply_poll(replies, 0, &reply) == KB_REPLY_LOST);
}

static const char *why_closed(void)
{
	static char why[KB_LINE_BYTES];
	kb_replies_why_closed(replies, why);
	return why;
}

static const char *last_error(void)
{
	static char error[KB_LINE_BYTES];
	kb_line_get(&traffic->error, error);
	return error;
}

/* The events of the connection, in their order. */
static const char *events(void)
{
	static char text[256];
	size_t n = 0;
	struct kb_message m;
	text[0] = '\0';
	while (kb_inbox_next(inbox, 0, &m))
		n += (size_t)snprintf(text + n, sizeof text - n, "%.*s ", KB_SLICE_FMT(m.key));
	return text;
}

/* What is said of the connection while its subscription is refused, comes to stand and falls. */
static void test_subscription(unsigned stand_at, unsigned fall_at, enum kb_connection_state state, const char *why,
	const char *error, const char *expected_events)
{
	struct kb_traffic *counts = kb_traffic_create(1, 1);
	traffic = kb_traffic_connection(counts, "requester", "", 0);
	inbox = kb_inbox_create(1, 65536);
	begin();
	CHECK_TEXT(why_closed(), "not connected to a broker");
	fake.refuses = true;
	fake.stand_at = stand_at;
	fake.fall_at = fall_at;
	run();
	for (unsigned call = 0; call < 6; call++)
		CHECK(fake.open_at[call] == (stand_at && call > stand_at && !(fall_at && call > fall_at)));
	CHECK(kb_counter_get(&traffic->state) == state);
	CHECK_TEXT(why_closed(), why);
	CHECK_TEXT(last_error(), error);
	CHECK_TEXT(events(), expected_events);
	kb_inbox_destroy(inbox);
	kb_traffic_destroy(counts);
	inbox = NULL;
	traffic = NULL;
}

static void test_lost_while_refused(void)
{
	begin();
	fake.refuses = true;
	fake.lose_at = 5;
	run();
	CHECK_TEXT(why_closed(), "not connected to a broker");
}

static void test_reply(const char *payload, const char *correlation, enum kb_reply_state expected)
{
	struct kb_slice reply;
	begin();
	request("the id", "");
	fake.reply = payload;
	fake.correlation = correlation;
	run();
	CHECK(kb_reply_poll(replies, 0, &reply) == expected);
	if (expected == KB_REPLY_RECEIVED)
		CHECK_TEXT(text_of(reply), payload);
}

static enum kb_reply_state outcome(void)
{
	struct kb_slice reply;
	return kb_reply_poll(replies, 0, &reply);
}

static void test_too_large(const char *correlation, size_t bytes, enum kb_reply_state expected)
{
	begin();
	request("the id", "");
	fake.correlation = correlation;
	fake.too_large = bytes;
	run();
	CHECK(outcome() == expected);
}

static void test_unroutable(const char *correlation, const char *exchange, enum kb_reply_state expected)
{
	begin();
	request("the id", exchange);
	fake.correlation = correlation;
	fake.returns = true;
	run();
	CHECK(outcome() == expected);
}

/* No process needs to wait for a request that is never sent; the last correlation-id is that of the request. */
static void test_unsendable(void)
{
	struct kb_buf properties = {0};
	begin();
	request("the id", "");
	fake.invalid = true;
	kb_headers_add(&properties, KB_SLICE_LITERAL("correlation-id"), KB_SLICE_LITERAL("of the configuration"));
	kb_headers_add(&properties, KB_SLICE_LITERAL("correlation-id"), KB_SLICE_LITERAL("the id"));
	outbox = kb_outbox_create(1, 65536, 1);
	CHECK(
		kb_outbox_put(outbox, 0, &(struct kb_message){.properties = kb_buf_slice(&properties)}) == KB_OUTBOX_ACCEPTED);
	run_with_outbox();
	CHECK(outcome() == KB_REPLY_UNROUTABLE);
	kb_buf_free(&properties);
}

/* Counted on the connection, and no reply is counted twice. */
static void test_unmatched(const char *payload, const char *correlation, uint64_t expected)
{
	struct kb_traffic *counts = kb_traffic_create(1, 1);
	traffic = kb_traffic_connection(counts, "requester", "", 0);
	begin();
	request("the id", "");
	fake.reply = payload;
	fake.correlation = correlation;
	run();
	CHECK(kb_counter_get(&traffic->unmatched) == expected);
	traffic = NULL;
	kb_traffic_destroy(counts);
}

static void test_reads_what_comes(void)
{
	begin();
	fake.fail_connects = 1;
	fake.say_at = 2;
	run();
	/* A new connection may have left something in the library. */
	const unsigned expected[] = {1, 0, 0, 1, 0, 0};
	for (unsigned i = 0; i < 6; i++)
		CHECK(fake.read_at[i] == expected[i]);
}

/* A loop with so much to send that it never sleeps hears the broker all the same. */
static void test_reads_while_it_sends(void)
{
	begin();
	fake.busy_from = 2;
	run();
	const unsigned expected[] = {1, 0, 0, 1, 1, 1};
	for (unsigned i = 0; i < 6; i++)
		CHECK(fake.read_at[i] == expected[i]);
}

/* -- NATS -- */

static void put_request(const char *subject, const char *id)
{
	char reply[64];
	snprintf(reply, sizeof reply, "_INBOX.x.%s", id);
	outbox = kb_outbox_create(1, 65536, 1);
	CHECK(
		kb_outbox_put(outbox, 0, &(struct kb_message){.key = kb_slice_from(subject), .reply = kb_slice_from(reply)}) ==
		KB_OUTBOX_ACCEPTED);
}

static const char *nats_id(void)
{
	static char id[KB_REPLY_ID_WORD_CHARS + 1];
	kb_reply_id_word(id, 0);
	return id;
}

/* The whole message is there, in the slot. */
static void test_nats_reply(void)
{
	struct kb_slice reply = {NULL, 0};
	struct kb_message m = {0};
	char subject[64];
	const char *id = nats_id();
	begin();
	request(id, "");
	snprintf(subject, sizeof subject, "_INBOX.x.%s", id);
	fake.subject = subject;
	fake.correlation = "a property";
	fake.reply = "hello";
	outbox = kb_outbox_create(1, 65536, 1);
	run_over_nats();
	CHECK_TEXT(fake.queues[0], "_INBOX.x.*");
	CHECK(kb_reply_poll(replies, 0, &reply) == KB_REPLY_RECEIVED);
	CHECK((uintptr_t)reply.p % 8 == 0 && kb_message_decode(reply.p, reply.n, &m));
	CHECK_TEXT(text_of(m.payload), "hello");
	CHECK_TEXT(text_of(m.key), subject);
	CHECK_TEXT(text_of(kb_headers_find(m.properties, KB_SLICE_LITERAL("correlation-id"))), "a property");
}

static unsigned too_large_lines;

static void count_lines(enum kb_log_level level, const char *line)
{
	(void)level;
	too_large_lines += strstr(line, "discarding reply of") != NULL;
}

/* Over AMQP the process that waits logs what was read, over NATS the requester does. */
static void test_says_too_large(void)
{
	static char longest[5000];
	begin();
	request("the id", "");
	memset(longest, 'x', sizeof longest - 1);
	fake.reply = longest;
	fake.correlation = "the id";
	too_large_lines = 0;
	kb_log_set_sink(count_lines);
	run();
	CHECK(outcome() == KB_REPLY_TOO_LARGE && too_large_lines == 0);
	begin();
	fake.subject = "_INBOX.x.none";
	fake.reply = longest;
	outbox = kb_outbox_create(1, 65536, 1);
	run_over_nats();
	CHECK(too_large_lines == 1);
	kb_log_set_sink(NULL);
}

static void test_nats_too_large(void)
{
	static char longest[5000];
	char subject[64];
	const char *id = nats_id();
	begin();
	request(id, "");
	snprintf(subject, sizeof subject, "_INBOX.x.%s", id);
	memset(longest, 'x', sizeof longest - 1);
	fake.subject = subject;
	fake.reply = longest;
	outbox = kb_outbox_create(1, 65536, 1);
	run_over_nats();
	CHECK(outcome() == KB_REPLY_TOO_LARGE);
}

static void test_nats_unsent(const char *subject, const char *forbidden, bool invalid, enum kb_reply_state expected)
{
	const char *id = nats_id();
	begin();
	request(id, "");
	put_request(subject, id);
	fake.forbids = forbidden;
	fake.invalid = invalid;
	run_over_nats();
	CHECK(outcome() == expected);
}

static void test_own_requests(void)
{
	begin();
	fake.subject = "_INBOX.x.own";
	fake.reply = "{}";
	outbox = kb_outbox_create(1, 65536, 1);
	run_over_nats();
	CHECK_TEXT(own, "own reply");
	begin();
	put_request("a.b", "own");
	fake.invalid = true;
	run_over_nats();
	CHECK_TEXT(own, "own unsent");
}

int main(void)
{
	test_a_queue_for_each_connection();
	test_lost_with_the_connection();
	test_subscription(0, 0, KB_CONNECTION_CONNECTING, "cannot receive replies: refused", "refused", "");
	test_subscription(2, 0, KB_CONNECTION_OPEN, "cannot receive replies: refused", "refused", "requester-open ");
	test_subscription(
		2, 4, KB_CONNECTION_CONNECTING, "cannot receive replies: gone", "gone", "requester-open requester-closed ");
	test_lost_while_refused();
	test_reply("{\"Msg-ID\":\"the id\"}", NULL, KB_REPLY_RECEIVED);
	test_reply("{\"no\":1}", "the id", KB_REPLY_RECEIVED);
	test_reply("{\"Msg-ID\":\"another\"}", "the id", KB_REPLY_RECEIVED);
	test_reply("{\"Msg-ID\":\"another\"}", "another", KB_REPLY_WAITING);
	test_too_large("the id", 5000, KB_REPLY_TOO_LARGE);
	test_too_large("another", 5000, KB_REPLY_WAITING);
	test_too_large(NULL, 5000, KB_REPLY_WAITING);
	test_unroutable("the id", "y", KB_REPLY_UNROUTABLE);
	test_unroutable("another", "x", KB_REPLY_WAITING);
	test_unroutable(NULL, "x", KB_REPLY_UNROUTABLE);
	test_unroutable(NULL, "y", KB_REPLY_WAITING);
	test_unsendable();
	test_unmatched("{\"Msg-ID\":\"the id\"}", "the id", 0);
	test_unmatched("{\"Msg-ID\":\"another\"}", NULL, 1);
	test_unmatched("no JSON", "another", 1);
	test_unmatched("no JSON", NULL, 1);
	test_reads_what_comes();
	test_reads_while_it_sends();
	test_nats_reply();
	test_nats_too_large();
	test_says_too_large();
	test_nats_unsent("a.b", NULL, true, KB_REPLY_UNSENT);
	test_nats_unsent("a.b", "a.b", false, KB_REPLY_FORBIDDEN);
	test_nats_unsent("a.b", "a.c", false, KB_REPLY_WAITING);
	test_own_requests();
	kb_replies_destroy(replies);
	return check_failures != 0;
}
