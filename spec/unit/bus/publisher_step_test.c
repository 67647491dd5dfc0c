/* bus/publisher after a connection that a message has cost: those that were in flight go one by one, and no more.
 */
#include "check.h"

#include "bus/publisher.h"

enum { ROUNDS = 20 };

struct kb_broker {
	struct kb_broker_events events;
	char trace[64]; /* the keys published, and a | for each process() with any before it */
	size_t n;
	uint64_t sequence, first_open;
	const char *invalid; /* keys that are refused unsent, once the connection was lost */
	bool lost_one;
	unsigned rounds;
	volatile int stop;
};

#include "fake_broker.h"

/* The first connection takes five and ends. */
static enum kb_broker_result fake_publish(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence)
{
	if (!b->lost_one && b->sequence - b->first_open == 5)
		return KB_BROKER_AGAIN;
	if (b->lost_one && strchr(b->invalid, m->key.p[0]))
		return KB_BROKER_INVALID;
	if (b->lost_one)
		b->trace[b->n++] = m->key.p[0];
	*sequence = b->sequence++;
	return KB_BROKER_OK;
}

static enum kb_broker_result lose(struct kb_broker *b)
{
	b->lost_one = true;
	b->first_open = b->sequence;
	b->events.publish.requeue(b->events.context, KB_OFFENDED, "the broker closed the connection");
	return KB_BROKER_LOST;
}

static enum kb_broker_result fake_process(struct kb_broker *b, unsigned max)
{
	(void)max;
	if (b->rounds++ == ROUNDS)
		b->stop = 1;
	if (!b->lost_one && b->sequence - b->first_open == 5)
		return lose(b);
	if (b->first_open < b->sequence)
		b->trace[b->n++] = '|';
	while (b->first_open < b->sequence)
		b->events.publish.settled(b->events.context, b->first_open++, false, KB_DONE, NULL);
	return KB_BROKER_OK;
}

static const struct kb_broker_api api = {FAKE_BROKER, .connect = fake_connect, .process = fake_process,
	.poll_fd = fake_no_fd, .poll_timeout_ms = fake_short_timeout,
	.publish = &(const struct kb_publish_api){.publish = fake_publish}};

static const char *trace_of(const char *keys, const char *invalid)
{
	struct kb_outbox *outbox = kb_outbox_create(1, 65536, 1);
	fake = (struct kb_broker){.sequence = 1, .first_open = 1, .invalid = invalid};
	for (; *keys; keys++) {
		struct kb_message m = {.key = {keys, 1}, .payload = {"{}", 2}};
		CHECK(kb_outbox_put(outbox, 0, &m) == KB_OUTBOX_ACCEPTED);
	}
	kb_publisher_run(&(struct kb_publisher){.api = &api, .outbox = outbox, .batch = 10, .stop = &fake.stop});
	kb_outbox_destroy(outbox);
	return fake.trace;
}

int main(void)
{
	CHECK_TEXT(trace_of("abcdefgh", ""), "a|b|c|d|e|fgh|");
	/* those that the next connection does not take at all have had their turn, too */
	CHECK_TEXT(trace_of("abcdefgh", "bd"), "a|c|e|fgh|");
	return check_failures != 0;
}
