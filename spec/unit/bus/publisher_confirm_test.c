/* bus/publisher with a broker that confirms many at a time and loses connections (broker_config.confirm): nothing is
 * lost, and order holds but for copies. */
#include "bus/publisher.h"

#include <stdlib.h>
#include "check.h"

enum { WRITERS = 3, MESSAGES = 4000, ROUNDS_MAX = 100000 };

struct kb_broker {
	struct kb_broker_events events;
	uint64_t oldest, next;
	unsigned round, connections;
	bool lost;
	int expected[WRITERS], copies;
};

#include "fake_broker.h"

static volatile int stop;
static struct kb_outbox *outbox;

static enum kb_broker_result connect_again(struct kb_broker *b)
{
	(void)b;
	fake.lost = false;
	fake.connections++;
	fake.oldest = fake.next;
	return KB_BROKER_OK;
}

/* What the first letter says is invalid is no part of the order. */
static enum kb_broker_result fake_publish(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence)
{
	(void)b;
	*sequence = 0;
	if (m->payload.p[0] == '!')
		return KB_BROKER_INVALID;
	int writer = m->key.p[0] - 'a', number = atoi(m->payload.p);
	CHECK(number <= fake.expected[writer]); /* none is passed over */
	fake.copies += number < fake.expected[writer];
	fake.expected[writer] += number == fake.expected[writer];
	*sequence = fake.next++;
	return KB_BROKER_OK;
}

static bool all_came(void)
{
	for (int i = 0; i < WRITERS; i++)
		if (fake.expected[i] < MESSAGES)
			return false;
	return true;
}

/* Confirms part of what it has, somewhere in the middle of what was sent at a time, and loses the rest once in a while.
 */
static enum kb_broker_result fake_process(struct kb_broker *b, unsigned max_messages)
{
	(void)b, (void)max_messages;
	fake.round++;
	uint64_t open = fake.next - fake.oldest, read = fake.round % 3 ? open * 2 / 3 : open;
	if (read) {
		fake.oldest += read;
		fake.events.publish.settled(fake.events.context, fake.oldest - 1, true, KB_DONE, NULL);
	}
	fake.lost = fake.round % 7 == 0 && fake.connections < 6;
	stop = (all_came() && kb_outbox_totals(outbox).bytes_used == 0) || fake.round > ROUNDS_MAX;
	return fake.lost ? KB_BROKER_LOST : KB_BROKER_OK;
}

static const struct kb_broker_api api = {FAKE_BROKER, .connect = connect_again, .process = fake_process,
	.poll_fd = fake_no_fd, .poll_timeout_ms = fake_short_timeout,
	.publish = &(const struct kb_publish_api){.publish = fake_publish}};

static void put(size_t writer, const char *payload)
{
	char key = (char)('a' + writer);
	struct kb_message m = {.key = {&key, 1}, .payload = kb_slice(payload, strlen(payload) + 1)};
	CHECK(kb_outbox_put(outbox, writer, &m) == KB_OUTBOX_ACCEPTED);
}

int main(void)
{
	outbox = kb_outbox_create(WRITERS, 1 << 20, 1);
	fake.oldest = fake.next = 1;
	for (size_t writer = 0; writer < WRITERS; writer++)
		for (int i = 0; i < MESSAGES; i++) {
			char text[16];
			snprintf(text, sizeof text, "%d", i);
			put(writer, text);
			if (i % 97 == 5)
				put(writer, "!");
		}
	kb_publisher_run(&(struct kb_publisher){
		.api = &api, .config = {.confirm = true}, .outbox = outbox, .batch = 50, .stop = &stop, .drain_ms = 100});
	for (int i = 0; i < WRITERS; i++)
		CHECK(fake.expected[i] == MESSAGES);
	CHECK(fake.connections == 6 && fake.copies > 0);
	CHECK(kb_outbox_totals(outbox).bytes_used == 0);
	kb_outbox_destroy(outbox);
	return check_failures ? 1 : 0;
}
