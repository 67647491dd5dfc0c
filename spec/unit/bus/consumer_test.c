/* bus/consumer: what the parameters of the main loop (kazoo manual 4.2.1, 4.2.3, 4.3) do, which worker gets what, and
 * what becomes of outcomes and events around a lost connection. */
#include "consumer_scene.h"

/* -- 4.2.1, 4.2.3: the loop counts -- */

static void test_consumer_loop_count(void)
{
	begin(1);
	fake.left = 25;
	struct kb_consumer c = settings();
	kb_consumer_run(&c);
	for (unsigned i = 0; i < 10; i++)
		CHECK(fake.calls[i].max == 10);
	CHECK(fake.sent == 25 && fake.asked == 0);
}

static void settle_in_second_call(struct kb_broker *b, unsigned call)
{
	(void)b;
	if (call == 1)
		settle_all(0);
}

static void test_ack_loop_count(void)
{
	begin(1);
	subscription->no_ack = false;
	subscription->wait_for_consumer_ack = true;
	fake.left = 50;
	fake.in_call = settle_in_second_call;
	struct kb_consumer c = settings();
	c.deliver_batch = 50;
	kb_consumer_run(&c);
	CHECK(fake.calls[1].settled == 0);
	CHECK(fake.calls[2].settled == 20);
	CHECK(fake.calls[3].settled == 20);
	CHECK(fake.calls[4].settled == 10);
}

/* -- consistent-worker-key -- */

static const char *three_callers(unsigned n)
{
	static const char *const payloads[] = {"{\"who\":\"a\"}", "{\"who\":\"b\"}", "{\"who\":17}"};
	return payloads[n % 3];
}

static void test_worker_by_key(void)
{
	begin(WORKERS);
	subscription->worker_key = "who";
	fake.payload = three_callers;
	fake.left = 9;
	fake.waiting = 9;
	struct kb_consumer c = settings();
	c.single_worker_for_backlog = true; /* the key decides all the same: a caller's order must hold across the change */
	kb_consumer_run(&c);
	char all[512] = " ";
	for (size_t i = 0; i < WORKERS; i++)
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s ", tags_of(i));
	/* Those of one caller are in order at one worker; those of others may come between. */
	const char *orders[3][3] = {{" 1 ", " 4 ", " 7 "}, {" 2 ", " 5 ", " 8 "}, {" 3 ", " 6 ", " 9 "}};
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 2; j++)
			CHECK(strstr(all, orders[i][j]) && strstr(all, orders[i][j]) < strstr(all, orders[i][j + 1]));
}

static const char *one_caller(unsigned n)
{
	(void)n;
	return "{\"who\":\"somebody\"}";
}

static size_t workers_that_got_something(void)
{
	size_t n = 0;
	for (size_t i = 0; i < WORKERS; i++)
		n += tags_of(i)[0] != '\0';
	return n;
}

static void test_one_key_one_worker(void)
{
	begin(WORKERS);
	subscription->worker_key = "who";
	fake.payload = one_caller;
	fake.left = 20;
	struct kb_consumer c = settings();
	kb_consumer_run(&c);
	CHECK(workers_that_got_something() == 1);
}

static void test_without_the_key(void)
{
	begin(WORKERS);
	subscription->worker_key = "no message has it";
	fake.payload = one_caller;
	fake.left = 20;
	struct kb_consumer c = settings();
	kb_consumer_run(&c);
	CHECK(workers_that_got_something() == WORKERS);
}

/* -- full, and too large -- */

static char big[40000];

static const char *big_one(unsigned n)
{
	return n == 1 ? big : "{}";
}

static void test_too_large(void)
{
	begin(1);
	memset(big, 'x', sizeof big - 1);
	subscription->no_ack = false;
	fake.payload = big_one;
	fake.left = 3;
	struct kb_consumer c = settings();
	kb_consumer_run(&c);
	CHECK_TEXT(tags_of(0), "1 3");
	CHECK(fake.settled == 3 && fake.rejected == 1);
}

static const char *half_full(unsigned n)
{
	(void)n;
	return big + sizeof big - 20000;
}

static void make_room(struct kb_broker *b, unsigned call)
{
	if (call == 4) {
		CHECK(b->sent == 3);
		settle_all(0);
	}
}

static void test_full(void)
{
	begin(1);
	fake.payload = half_full;
	fake.left = 5;
	fake.in_call = make_room;
	struct kb_consumer c = settings();
	kb_consumer_run(&c);
	CHECK(fake.sent == 5);
}

/* -- the connection -- */

static void lose_in_third_call(struct kb_broker *b, unsigned call)
{
	b->lose_at_next = call == 2;
	b->away = call == 2;
}

static void *settle_one_by_one(void *unused)
{
	struct kb_message m;
	(void)unused;
	for (int i = 0; i < 100 || (fake.connects < 2 && i < 5000); i++) {
		struct kb_record *r = kb_inbox_next(inbox, 0, &m);
		if (r)
			kb_inbox_settle(inbox, 0, r, KB_DONE);
		poll(NULL, 0, 2);
	}
	fake.stop = 1;
	return NULL;
}

/* Workers that end one route after the other do not have a broker that is away tried each time. */
static void test_outcomes_do_not_hurry_reconnects(void)
{
	pthread_t worker;
	begin(1);
	subscription->no_ack = false;
	subscription->wait_for_consumer_ack = true;
	fake.left = 100;
	fake.in_call = lose_in_third_call;
	struct kb_consumer c = settings();
	c.deliver_batch = 100;
	CHECK(pthread_create(&worker, NULL, settle_one_by_one, NULL) == 0);
	kb_consumer_run(&c);
	pthread_join(worker, NULL);
	CHECK(fake.connects > 1 && fake.connects < 10);
}

static bool an_event_waits(const char *name)
{
	struct kb_message m;
	bool found = false;
	while (kb_inbox_next(inbox, 0, &m))
		found |= m.origin.subscription == KB_ORIGIN_EVENT && kb_slice_equal(m.key, kb_slice_from(name));
	return found;
}

static void lose_in_fifth_call(struct kb_broker *b, unsigned call)
{
	b->lose_at_next = call == 4;
}

static void settle_while_away(unsigned attempt)
{
	if (attempt == 2)
		settle_all(0);
}

/* The inbox was full when the connection was lost, and its worker has done all of that since. */
static void test_room_for_events_after_a_full_inbox(void)
{
	begin(1);
	fake.left = 5000;
	fake.in_call = lose_in_fifth_call;
	fake.in_attempt = settle_while_away;
	struct kb_consumer c = settings();
	c.deliver_batch = 5000;
	kb_consumer_run(&c);
	CHECK(fake.connects == 2 && an_event_waits("open"));
}

static void one_batch_a_call(struct kb_broker *b, unsigned call)
{
	(void)call;
	b->left = 10;
}

/* A thread that naps gives up the processor of its own will, which the kernel counts; unlike a clock that is exact on a
 * busy machine, too. */
static long naps(void)
{
	struct rusage usage;
	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

static long naps_in_forty_batches(unsigned prefetch)
{
	begin(1);
	subscription->no_ack = false;
	subscription->prefetch = (uint16_t)prefetch;
	fake.in_call = one_batch_a_call;
	fake.calls_left = 42;
	struct kb_consumer c = settings();
	c.deliver_batch = 100;
	c.read_timeout_ms = 0;
	long before = naps();
	kb_consumer_run(&c);
	CHECK(fake.sent >= 400);
	return naps() - before;
}

/* What comes fast gathers for a millisecond, but where the broker waits for acknowledgements meanwhile. */
static void test_prefetch_does_not_wait(void)
{
	CHECK(naps_in_forty_batches(0) >= 10);
	CHECK(naps_in_forty_batches(10) < 5);
}

/* -- 4.3: timers -- */

static uint64_t five_calls_take_ms(int ack_timeout_ms, int read_timeout_ms, bool owed)
{
	begin(1);
	subscription->no_ack = !owed;
	subscription->wait_for_consumer_ack = owed;
	fake.left = 1;
	fake.calls_left = 7;
	struct kb_consumer c = settings();
	c.ack_timeout_ms = ack_timeout_ms;
	c.read_timeout_ms = read_timeout_ms;
	kb_consumer_run(&c);
	return fake.calls[6].at_ms - fake.calls[1].at_ms;
}

static void test_timers(void)
{
	uint64_t ms = five_calls_take_ms(5000, 40, false);
	CHECK(ms >= 190 && ms < 4000);
	ms = five_calls_take_ms(40, 5000, true);
	CHECK(ms >= 190 && ms < 4000);
}

int main(void)
{
	test_consumer_loop_count();
	test_ack_loop_count();
	test_worker_by_key();
	test_one_key_one_worker();
	test_without_the_key();
	test_too_large();
	test_full();
	test_outcomes_do_not_hurry_reconnects();
	test_room_for_events_after_a_full_inbox();
	test_prefetch_does_not_wait();
	test_timers();
	kb_inbox_destroy(inbox);
	return check_failures != 0;
}
