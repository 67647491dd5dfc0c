/* A consumer's loop over a broker that does as it is told, for the tests of bus/consumer. */
#ifndef KB_SPEC_CONSUMER_SCENE_H
#define KB_SPEC_CONSUMER_SCENE_H

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include "bus/consumer.h"
#include "check.h"
#include "core/clock.h"

enum { WORKERS = 4, CALLS_MAX = 64 };

/* One call of process(). */
struct call {
	unsigned max;     /* as the loop asked for */
	unsigned settled; /* acknowledgements since the call before */
	uint64_t at_ms;
};

struct kb_broker {
	struct kb_broker_events events;
	const char *(*payload)(unsigned n); /* of the n-th message; NULL: "{}" */
	uint32_t waiting;                   /* in the queue of the first subscription when it starts */
	uint32_t length;                    /* of that queue, when it is counted */
	unsigned asked;                     /* how often it was */
	bool counting;                      /* it comes at the beginning of the next process() */
	bool alternate;                     /* between the first two subscriptions */
	unsigned left, sent;                /* messages still to come, and delivered */
	unsigned settled, rejected;
	unsigned calls_left; /* after which the loop is told to stop */
	void (*in_call)(struct kb_broker *b, unsigned call);
	struct call calls[CALLS_MAX];
	unsigned n_calls;
	bool lose_at_next;
	bool away;         /* no attempt to connect succeeds */
	unsigned connects; /* attempts */
	void (*in_attempt)(unsigned attempt);
	volatile int stop;
};

#include "fake_broker.h"

static struct kb_inbox *inbox;

static inline enum kb_broker_result fake_subscribe(struct kb_broker *b, const struct kb_subscription *s, uint32_t index)
{
	(void)s;
	b->events.consume.waiting(b->events.context, index, index == 0 ? b->waiting : 0);
	return KB_BROKER_OK;
}

static inline enum kb_broker_result connect_or_not(struct kb_broker *b)
{
	b->connects++;
	if (b->in_attempt)
		b->in_attempt(b->connects);
	return b->away ? KB_BROKER_LOST : KB_BROKER_OK;
}

static inline void fake_count(struct kb_broker *b, uint32_t index)
{
	CHECK(index == 0);
	b->asked++;
	b->counting = true;
}

static inline enum kb_broker_result fake_settle(
	struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome)
{
	(void)origin;
	b->settled++;
	b->rejected += outcome == KB_REJECTED;
	return KB_BROKER_OK;
}

static inline bool deliver(struct kb_broker *b)
{
	const char *payload = b->payload ? b->payload(b->sent) : "{}";
	struct kb_message m = {.payload = kb_slice_from(payload),
		.origin = {.tag = b->sent + 1, .subscription = b->alternate ? b->sent % 2 : 0}};
	if (!b->events.consume.delivered(b->events.context, &m))
		return false;
	b->sent++;
	b->left--;
	return true;
}

static inline enum kb_broker_result fake_process(struct kb_broker *b, unsigned max)
{
	static unsigned settled_before;
	if (b->n_calls == 0)
		settled_before = 0;
	b->calls[b->n_calls % CALLS_MAX] = (struct call){max, b->settled - settled_before, kb_clock_ms()};
	settled_before = b->settled;
	unsigned call = b->n_calls++;
	if (--b->calls_left == 0)
		b->stop = 1;
	if (b->lose_at_next) {
		b->lose_at_next = false;
		return KB_BROKER_LOST;
	}
	if (b->counting)
		b->events.consume.counted(b->events.context, 0, b->length);
	b->counting = false;
	if (b->in_call)
		b->in_call(b, call);
	for (unsigned n = 0; b->left; n++)
		if (n == max)
			return KB_BROKER_AGAIN;
		else if (!deliver(b))
			break;
	return KB_BROKER_OK;
}

static const struct kb_broker_api api = {FAKE_BROKER, .connect = connect_or_not, .process = fake_process,
	.poll_fd = fake_no_fd, .poll_timeout_ms = fake_no_timeout,
	.consume = &(const struct kb_consume_api){.subscribe = fake_subscribe, .count = fake_count, .settle = fake_settle}};

/* -- running the loop -- */

static struct kb_subscription subscriptions[2], *const subscription = subscriptions;

static inline struct kb_consumer settings(void)
{
	return (struct kb_consumer){.api = &api,
		.inbox = inbox,
		.subscriptions = subscriptions,
		.n_subscriptions = 1,
		.ack_batch = 20,
		.deliver_batch = 10,
		.ack_timeout_ms = 1,
		.read_timeout_ms = 1,
		.zone = "local",
		.stop = &fake.stop};
}

static inline void begin(size_t workers)
{
	kb_inbox_destroy(inbox);
	inbox = kb_inbox_create(workers, (struct kb_inbox_size){65536, 0});
	fake = (struct kb_broker){.calls_left = 10};
	*subscription = (struct kb_subscription){.no_ack = true, .event_key = "", .event_subkey = ""};
	subscriptions[1] = *subscription;
}

/* The tags that a worker got, as text. */
static inline const char *tags_of(size_t worker)
{
	static char text[1024];
	int n = 0;
	struct kb_message m;
	text[0] = '\0';
	while (kb_inbox_next(inbox, worker, &m))
		if (m.origin.subscription != KB_ORIGIN_EVENT)
			n += snprintf(text + n, sizeof text - (size_t)n, "%s%d", n ? " " : "", (int)m.origin.tag);
	return text;
}

static inline void settle_all(size_t worker)
{
	struct kb_message m;
	for (struct kb_record *r; (r = kb_inbox_next(inbox, worker, &m));)
		kb_inbox_settle(inbox, worker, r, KB_DONE);
}

#endif
