/* nats/receipts: which messages the server is known to have read. */
#include "nats/receipts.h"

#include "check.h"

static uint64_t read_up_to;
static int times;

static void on_settled(void *context, uint64_t sequence, bool multiple, enum kb_outcome outcome, const char *reason)
{
	(void)context;
	CHECK(multiple && outcome == KB_DONE && !reason);
	read_up_to = sequence;
	times++;
}

static const struct kb_broker_events events = {.publish.settled = on_settled};

struct bench {
	struct kb_nats_receipts r;
	struct kb_nats_link link;
	int64_t now;
};

static void publish(struct bench *b, unsigned n)
{
	while (n--)
		kb_nats_receipts_number(&b->r);
}

static void answer(struct bench *b)
{
	kb_nats_link_note_pong(&b->link);
	kb_nats_receipts_heed(&b->r, &b->link, &events);
}

static void begin(struct bench *b)
{
	*b = (struct bench){.now = 1000};
	read_up_to = 0;
	times = 0;
}

static void a_pong_covers_what_was_written_before_its_ping(void)
{
	struct bench b;
	begin(&b);
	publish(&b, 3);
	CHECK(kb_nats_receipts_open(&b.r) && kb_nats_receipts_due_ms(&b.r, b.now) == 0);
	kb_nats_receipts_ping(&b.r, &b.link, false, b.now);
	publish(&b, 2);
	CHECK(kb_nats_receipts_due_ms(&b.r, b.now) == -1); /* one at a time */
	kb_nats_receipts_ping(&b.r, &b.link, true, b.now);
	CHECK(b.link.pings == 1);
	answer(&b);
	CHECK(read_up_to == 3 && times == 1);
	kb_nats_receipts_ping(&b.r, &b.link, true, b.now);
	answer(&b);
	CHECK(read_up_to == 5 && times == 2 && !kb_nats_receipts_open(&b.r));
	kb_nats_receipts_ping(&b.r, &b.link, true, b.now);
	CHECK(b.link.pings == 2); /* there was nothing to ask for */
	kb_nats_link_free(&b.link);
}

/* Those of the heartbeat, and of leaving a server, are answered in their turn. */
static void pongs_of_other_pings_mean_nothing(void)
{
	struct bench b;
	begin(&b);
	kb_nats_link_ping(&b.link);
	publish(&b, 1);
	kb_nats_receipts_ping(&b.r, &b.link, true, b.now);
	kb_nats_link_ping(&b.link);
	answer(&b);
	CHECK(times == 0);
	answer(&b);
	CHECK(times == 1 && read_up_to == 1);
	answer(&b);
	CHECK(times == 1);
	kb_nats_link_free(&b.link);
}

static void little_is_asked_for_once_in_a_while(void)
{
	struct bench b;
	begin(&b);
	publish(&b, 1);
	kb_nats_receipts_ping(&b.r, &b.link, false, b.now);
	answer(&b);
	publish(&b, 1);
	kb_nats_receipts_ping(&b.r, &b.link, false, b.now);
	CHECK(b.link.pings == 1 && kb_nats_receipts_due_ms(&b.r, b.now) == 5);
	publish(&b, 5000);
	kb_nats_receipts_ping(&b.r, &b.link, false, b.now);
	CHECK(b.link.pings == 2); /* but much at once */
	answer(&b);
	publish(&b, 1);
	kb_nats_receipts_ping(&b.r, &b.link, false, b.now + 4);
	CHECK(b.link.pings == 2);
	b.now += 5;
	kb_nats_receipts_ping(&b.r, &b.link, false, b.now);
	CHECK(b.link.pings == 3);
	kb_nats_link_free(&b.link);
}

static void another_connection_confirms_nothing_of_the_last(void)
{
	struct bench b;
	begin(&b);
	publish(&b, 4);
	kb_nats_receipts_ping(&b.r, &b.link, true, b.now);
	kb_nats_receipts_forget(&b.r);
	b.link.pings = b.link.pongs = 0;
	CHECK(!kb_nats_receipts_open(&b.r));
	CHECK(kb_nats_receipts_number(&b.r) == 5);
	kb_nats_receipts_ping(&b.r, &b.link, true, b.now);
	answer(&b);
	CHECK(times == 1 && read_up_to == 5);
	kb_nats_link_free(&b.link);
}

static void after_an_offence_each_is_asked_for_at_once(void)
{
	struct bench b;
	begin(&b);
	publish(&b, 3);
	kb_nats_receipts_ping(&b.r, &b.link, true, b.now);
	kb_nats_receipts_offended(&b.r);
	CHECK(!kb_nats_receipts_open(&b.r));
	for (uint64_t i = 0; i < 4; i++) {
		publish(&b, 1);
		CHECK((kb_nats_receipts_due_ms(&b.r, b.now) == 0) == (i < 3));
		kb_nats_receipts_ping(&b.r, &b.link, false, b.now);
		CHECK(b.link.pings == (i < 3 ? i + 2 : 4));
		b.link.pongs = b.link.pings - (i < 3);
		answer(&b);
	}
	kb_nats_link_free(&b.link);
}

int main(void)
{
	a_pong_covers_what_was_written_before_its_ping();
	pongs_of_other_pings_mean_nothing();
	little_is_asked_for_once_in_a_while();
	another_connection_confirms_nothing_of_the_last();
	after_an_offence_each_is_asked_for_at_once();
	return check_failures ? 1 : 0;
}
