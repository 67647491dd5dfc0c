/* A requester's loop over a broker that does as it is told, for the tests of bus/requester. */
#ifndef KB_SPEC_REQUESTER_SCENE_H
#define KB_SPEC_REQUESTER_SCENE_H

#include <unistd.h>
#include "amqp/reply_queue.h"
#include "bus/requester.h"
#include "bus/traffic.h"
#include "check.h"
#include "core/clock.h"
#include "core/counter.h"
#include "core/inbox.h"
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

static inline enum kb_broker_result connect_at_last(struct kb_broker *b)
{
	return b->fail_connects && b->fail_connects-- ? KB_BROKER_LOST : KB_BROKER_OK;
}

static inline enum kb_broker_result fake_subscribe(struct kb_broker *b, const struct kb_subscription *s, uint32_t index)
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

static inline enum kb_broker_result fake_publish(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence)
{
	(void)m;
	*sequence = 0; /* settled */
	return b->invalid ? KB_BROKER_INVALID : KB_BROKER_OK;
}

static inline void deliver(struct kb_broker *b)
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

static inline enum kb_broker_result fake_process(struct kb_broker *b, unsigned max)
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

static inline int fake_poll_fd(const struct kb_broker *b)
{
	return b->fds[0];
}

static const struct kb_broker_api api = {FAKE_BROKER, .connect = connect_at_last, .process = fake_process,
	.poll_fd = fake_poll_fd, .poll_timeout_ms = fake_short_timeout,
	.publish = &(const struct kb_publish_api){.publish = fake_publish},
	.consume = &(const struct kb_consume_api){.subscribe = fake_subscribe}};

static char own[64]; /* the id of the reply to a request of the process's own */

static inline bool own_reply(struct kb_slice id, const struct kb_message *reply)
{
	bool is_own = kb_slice_equal(id, KB_SLICE_LITERAL("own"));
	if (is_own)
		snprintf(own, sizeof own, "%.*s %s", KB_SLICE_FMT(id), reply ? "reply" : "unsent");
	return is_own;
}

static inline void begin(void)
{
	own[0] = '\0';
	kb_replies_destroy(replies);
	replies = kb_replies_create(1, 1, 1, 4096);
	fake = (struct kb_broker){0};
	CHECK(pipe(fake.fds) == 0);
}

static inline void run_bus(const struct kb_requester_bus *bus, void *context)
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

static inline void run_with_outbox(void)
{
	struct kb_amqp_reply_queue queue = {.replies = replies, .prefix = "me"};
	run_bus(&kb_amqp_reply_queue, &queue);
	kb_buf_free(&queue.id);
}

static inline void run_over_nats(void)
{
	struct kb_nats_reply_inbox *replies_to = kb_nats_reply_inbox_create("_INBOX.x");
	run_bus(&kb_nats_reply_inbox, replies_to);
	kb_nats_reply_inbox_free(replies_to);
}

static inline void run(void)
{
	outbox = kb_outbox_create(1, 65536, 1);
	run_with_outbox();
}

static inline void request(const char *id, const char *exchange)
{
	CHECK(kb_reply_claim_own(replies, 0) == 0);
	kb_reply_begin(replies, 0, kb_slice_from(id), kb_slice_from(exchange), kb_clock_deadline_ms(60000));
}

static inline const char *text_of(struct kb_slice slice)
{
	static char text[64];
	snprintf(text, sizeof text, "%.*s", (int)slice.n, slice.p);
	return text;
}

/* What has become of the request of request(). */
static inline enum kb_reply_state outcome(void)
{
	struct kb_slice reply;
	return kb_reply_poll(replies, 0, &reply);
}

/* The status for the program to end with. */
static inline int end_scene(void)
{
	kb_replies_destroy(replies);
	return check_failures != 0;
}

#endif
