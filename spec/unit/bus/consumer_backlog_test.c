/* bus/consumer: messages that waited at the broker while there was no connection (kazoo manual 4.2.4, 4.2.5). */
#include "consumer_scene.h"

/* -- 4.2.4: consume_messages_on_reconnect -- */

static void test_backlog_at_once(void)
{
	begin(1);
	fake.left = 37;
	fake.waiting = 25;
	struct kb_consumer c = settings();
	c.drain_backlog = true;
	kb_consumer_run(&c);
	CHECK(fake.calls[0].max >= 25);
	CHECK(fake.calls[1].max == 10);
	CHECK(fake.sent == 37);
}

static void test_backlog_by_the_count(void)
{
	begin(1);
	fake.left = fake.waiting = 25;
	struct kb_consumer c = settings();
	kb_consumer_run(&c);
	CHECK(fake.calls[0].max == 10 && fake.calls[1].max == 10);
}

static void lose_and_come_back(struct kb_broker *b, unsigned call)
{
	if (call == 1) {
		b->lose_at_next = true;
		b->waiting = 30;
	}
	if (call == 3)
		b->left = 30;
}

static void test_backlog_after_reconnect(void)
{
	begin(1);
	fake.in_call = lose_and_come_back;
	struct kb_consumer c = settings();
	c.drain_backlog = true;
	kb_consumer_run(&c);
	CHECK(fake.calls[1].max == 10);
	CHECK(fake.calls[3].max >= 30);
	CHECK(fake.calls[5].max == 10);
	CHECK(fake.sent == 30);
}

static void fall_in_second_call(struct kb_broker *b, unsigned call)
{
	if (call == 1)
		b->events.consume.fell(b->events.context, 0, "cancelled by the broker");
}

static void test_backlog_of_one_that_ended(void)
{
	begin(1);
	fake.waiting = 25;
	fake.in_call = fall_in_second_call;
	struct kb_consumer c = settings();
	c.drain_backlog = true;
	kb_consumer_run(&c);
	CHECK(fake.calls[1].max >= 25);
	CHECK(fake.calls[2].max == 10);
}

/* -- 4.2.5: single_consumer_on_reconnect -- */

static void test_backlog_to_one_worker(void)
{
	begin(WORKERS);
	fake.left = 10;
	fake.waiting = 6;
	struct kb_consumer c = settings();
	c.single_worker_for_backlog = true;
	kb_consumer_run(&c);
	CHECK_TEXT(tags_of(0), "1 2 3 4 5 6 10"); /* and the event of the connection */
	CHECK_TEXT(tags_of(1), "7");
	CHECK_TEXT(tags_of(2), "8");
	CHECK_TEXT(tags_of(3), "9");
}

static void test_backlog_in_turn(void)
{
	begin(2);
	fake.left = fake.waiting = 6;
	struct kb_consumer c = settings();
	kb_consumer_run(&c);
	CHECK_TEXT(tags_of(1), "1 3 5"); /* the event of the connection went to worker 0 */
	CHECK_TEXT(tags_of(0), "2 4 6");
}

static void test_backlog_beside_another_subscription(void)
{
	begin(WORKERS);
	fake.alternate = true;
	fake.left = 8;
	fake.waiting = 100;
	struct kb_consumer c = settings();
	c.n_subscriptions = 2;
	c.single_worker_for_backlog = true;
	kb_consumer_run(&c);
	CHECK_TEXT(tags_of(0), "1 3 5 7 8");
	CHECK_TEXT(tags_of(1), "2");
	CHECK_TEXT(tags_of(2), "4");
	CHECK_TEXT(tags_of(3), "6");
	CHECK(fake.asked == 1); /* once a second */
}

static void run_to_one_worker(void (*in_call)(struct kb_broker *b, unsigned call))
{
	fake.in_call = in_call;
	struct kb_consumer c = settings();
	c.single_worker_for_backlog = true;
	kb_consumer_run(&c);
}

static unsigned counts; /* until the two new ones come */

/* Two of six come, and later two new ones. */
static void keep_four_back(struct kb_broker *b, unsigned call)
{
	(void)call;
	if (b->asked < counts)
		b->calls_left = 10;
	else if (b->sent == 2)
		b->left = 2;
}

static void run_with_two_of_six(uint32_t length)
{
	begin(2);
	fake.waiting = 6;
	fake.length = length;
	fake.left = 2;
	run_to_one_worker(keep_four_back);
	CHECK_TEXT(tags_of(0), "1 2 4");
	CHECK_TEXT(tags_of(1), "3");
}

static void test_backlog_that_others_took(void)
{
	counts = 2;
	run_with_two_of_six(0);
}

/* In a stream, or with another consumer of a queue that has one at a time. */
static void test_backlog_that_is_for_others(void)
{
	counts = 3;
	run_with_two_of_six(6);
}

static void deliver_after_first_count(struct kb_broker *b, unsigned call)
{
	(void)call;
	if (b->asked == 1 && b->sent == 0)
		b->left = 6;
}

/* The broker has sent two of six when it counts, and they come behind the count. */
static void test_backlog_in_flight(void)
{
	begin(2);
	fake.waiting = 6;
	fake.length = 4;
	run_to_one_worker(deliver_after_first_count);
	CHECK_TEXT(tags_of(0), "1 2 3 4 5 6");
	CHECK_TEXT(tags_of(1), "");
}

int main(void)
{
	test_backlog_at_once();
	test_backlog_by_the_count();
	test_backlog_after_reconnect();
	test_backlog_of_one_that_ended();
	test_backlog_to_one_worker();
	test_backlog_in_turn();
	test_backlog_beside_another_subscription();
	test_backlog_that_others_took();
	test_backlog_that_is_for_others();
	test_backlog_in_flight();
	kb_inbox_destroy(inbox);
	return check_failures != 0;
}
