/* bus/consumer with a broker that does as it is told: what the parameters of the main loop (kazoo manual 4.2, 4.3)
 * do, and which worker gets what. */
#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include "bus/consumer.h"
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

static enum kb_broker_result fake_subscribe(struct kb_broker *b, const struct kb_subscription *s, uint32_t index)
{
	(void)s;
	b->events.consume.waiting(b->events.context, index, index == 0 ? b->waiting : 0);
	return KB_BROKER_OK;
}

static enum kb_broker_result connect_or_not(struct kb_broker *b)
{
	b->connects++;
	if (b->in_attempt)
		b->in_attempt(b->connects);
	return b->away ? KB_BROKER_LOST : KB_BROKER_OK;
}

static void fake_count(struct kb_broker *b, uint32_t index)
{
	CHECK(index == 0);
	b->asked++;
	b->counting = true;
}

static enum kb_broker_result fake_settle(struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome)
{
	(void)origin;
	b->settled++;
	b->rejected += outcome == KB_REJECTED;
	return KB_BROKER_OK;
}

static bool deliver(struct kb_broker *b)
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

static enum kb_broker_result fake_process(struct kb_broker *b, unsigned max)
{
	static unsigned settled_before;
	if (b->n_calls == 0)
		settled_before = 0;
	b->calls[b->n_calls % CALLS_MAX] = (struct call){max, b->settled - settled_before, kb_now_ms()};
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

static struct kb_consumer settings(void)
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

static void begin(size_t workers)
{
	kb_inbox_destroy(inbox);
	inbox = kb_inbox_create(workers, 65536);
	fake = (struct kb_broker){.calls_left = 10};
	*subscription = (struct kb_subscription){.no_ack = true, .event_key = "", .event_subkey = ""};
	subscriptions[1] = *subscription;
}

/* The tags that a worker got, as text. */
static const char *tags_of(size_t worker)
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

static void settle_all(size_t worker)
{
	struct kb_message m;
	for (struct kb_record *r; (r = kb_inbox_next(inbox, worker, &m));)
		kb_inbox_settle(inbox, worker, r, KB_DONE);
}

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
		b->events.consume.fell(b->events.context, 0, "the queue is gone");
}

static void test_backlog_of_one_that_fell(void)
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
static void test_backlog_on_its_way(void)
{
	begin(2);
	fake.waiting = 6;
	fake.length = 4;
	run_to_one_worker(deliver_after_first_count);
	CHECK_TEXT(tags_of(0), "1 2 3 4 5 6");
	CHECK_TEXT(tags_of(1), "");
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
	test_backlog_at_once();
	test_backlog_by_the_count();
	test_backlog_after_reconnect();
	test_backlog_of_one_that_fell();
	test_backlog_to_one_worker();
	test_backlog_in_turn();
	test_backlog_beside_another_subscription();
	test_backlog_that_others_took();
	test_backlog_that_is_for_others();
	test_backlog_on_its_way();
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
