/* core/inbox between two processes: every message once, in order, each with its outcome, none lost to sleep. */
#include "core/inbox.h"

#include <unistd.h>
#include "lanes.h"

/* -- the consumer puts and harvests, the worker settles -- */

struct side {
	struct kb_inbox *inbox;
	struct kb_message m;
	struct kb_record *record;
};

static bool worker_ready(void *context)
{
	struct side *s = context;
	return (s->record = kb_inbox_next(s->inbox, 1, &s->m)) != NULL;
}

static void work(struct kb_inbox *inbox)
{
	struct side s = {.inbox = inbox};
	for (uint32_t i = 0; i < MESSAGES; i++) {
		s.record = kb_inbox_next(inbox, 1, &s.m);
		while (!s.record)
			if (!sleep_on(kb_inbox_worker_wake(inbox, 1), worker_ready, &s)) {
				CHECK(!"the consumer woke nobody");
				return;
			} else if (!s.record) {
				s.record = kb_inbox_next(inbox, 1, &s.m);
			}
		CHECK(is_payload_of(i, s.m.payload) && s.m.origin.tag == i);
		kb_inbox_settle(inbox, 1, s.record, i % 3 == 0 ? KB_REQUEUE : KB_DONE);
	}
}

struct consumer {
	struct kb_inbox *inbox;
	uint32_t put, harvested;
};

static bool harvest(void *context)
{
	struct consumer *c = context;
	struct kb_origin origin;
	enum kb_outcome outcome;
	if (!kb_inbox_harvest(c->inbox, 1, &origin, &outcome))
		return false;
	CHECK(origin.tag == c->harvested);
	CHECK(outcome == (c->harvested % 3 == 0 ? KB_REQUEUE : KB_DONE));
	c->harvested++;
	return true;
}

static void consume(struct kb_inbox *inbox)
{
	struct consumer c = {.inbox = inbox};
	unsigned char bytes[1024];
	while (c.harvested < MESSAGES) {
		struct kb_message m = {.payload = kb_slice(bytes, payload_of(c.put, bytes)), .origin = {.tag = c.put}};
		bool moved = c.put < MESSAGES && kb_inbox_put(inbox, 1, &m);
		c.put += moved;
		moved |= harvest(&c);
		if (!moved && !sleep_on(kb_inbox_consumer_wake(inbox), harvest, &c)) {
			CHECK(!"the worker woke nobody");
			return;
		}
	}
}

static void carries_an_inbox_and_its_outcomes(void)
{
	struct kb_inbox *inbox = kb_inbox_create(2, (struct kb_inbox_size){16384, 0});
	pid_t child = fork();
	if (child == 0) {
		work(inbox);
		_exit(check_failures);
	}
	consume(inbox);
	end_child(child);
	struct kb_message m;
	CHECK(kb_inbox_next(inbox, 0, &m) == NULL);
	kb_inbox_destroy(inbox);
	kb_inbox_destroy(NULL);
}

static bool put(struct kb_inbox *inbox, size_t n)
{
	static char bytes[1 << 20];
	return kb_inbox_put(inbox, 0, &(struct kb_message){.payload = kb_slice(bytes, n)});
}

static void take(struct kb_inbox *inbox)
{
	struct kb_message m;
	struct kb_origin origin;
	enum kb_outcome outcome;
	struct kb_record *record = kb_inbox_next(inbox, 0, &m);
	CHECK(record != NULL);
	if (record)
		kb_inbox_settle(inbox, 0, record, KB_DONE);
	while (kb_inbox_harvest(inbox, 0, &origin, &outcome))
		;
}

static void takes_a_message_beyond_its_bound_when_nothing_waits(void)
{
	struct kb_inbox *inbox = kb_inbox_create(1, (struct kb_inbox_size){.bound = 65536, .largest = 1 << 20});
	CHECK(kb_inbox_message_max(inbox) >= 1 << 20);
	for (int i = 0; i < 20; i++) {
		CHECK(put(inbox, 30000) && put(inbox, 30000));
		CHECK(!put(inbox, 30000) && !put(inbox, 900000));
		take(inbox);
		CHECK(!put(inbox, 900000));
		take(inbox);
		CHECK(put(inbox, 900000));
		CHECK(!put(inbox, 1));
		take(inbox);
	}
	kb_inbox_destroy(inbox);
}

int main(void)
{
	takes_a_message_beyond_its_bound_when_nothing_waits();
	carries_an_inbox_and_its_outcomes();
	return check_failures ? 1 : 0;
}
