/* bus/publisher with a broker that refuses: nothing is lost, order holds, and what is refused for good holds up
 * nobody. */
#include "bus/publisher.h"

#include <stdlib.h>
#include "check.h"
#include "core/clock.h"

enum { MESSAGES = 50, PATIENCE_MS = 5000, SLOW_MS = 4 };

/* The broker: outcomes are given in process(). */
struct kb_broker {
	struct kb_broker_events events;
	char sent[8192]; /* the keys of those confirmed, in order */
	uint64_t sequence, first_open;
	char key[8192]; /* by sequence: the key's one letter */
	int renewed;
	bool renewing, sticky; /* sticky: this channel refuses whatever comes */
	int64_t recovers_at;   /* ms; from then on a new channel takes all */
	char refused_for_good; /* a key */
	char slow;             /* a key whose outcome takes SLOW_MS */
	int wanted;            /* outcomes after which the loop is to end */
	int outcomes;
};

#include "fake_broker.h"

static volatile int stop;

static enum kb_broker_result fake_publish(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence)
{
	(void)b;
	CHECK(!fake.renewing);
	fake.key[fake.sequence % sizeof fake.key] = m->key.p[0];
	*sequence = fake.sequence++;
	return KB_BROKER_OK;
}

static void fake_renew(struct kb_broker *b)
{
	(void)b;
	fake.renewing = true;
}

static bool refuses(char key)
{
	if (fake.recovers_at && !fake.sticky)
		fake.sticky = kb_clock_ms() < fake.recovers_at;
	return key == fake.refused_for_good || (fake.recovers_at && fake.sticky);
}

static void take_time(int64_t ms)
{
	for (int64_t until = kb_clock_ms() + ms; kb_clock_ms() < until;)
		;
}

static void settle_one(char key)
{
	if (key == fake.slow)
		take_time(SLOW_MS);
	uint64_t sequence = fake.first_open++;
	bool refused = refuses(key);
	fake.events.publish.settled(
		fake.events.context, sequence, false, refused ? KB_PENDING : KB_DONE, refused ? "no" : NULL);
	if (!refused)
		strncat(fake.sent, &key, 1);
}

static enum kb_broker_result fake_process(struct kb_broker *b, unsigned max_messages)
{
	static int64_t began;
	(void)b, (void)max_messages;
	began = began ? began : kb_clock_ms();
	while (fake.first_open < fake.sequence)
		settle_one(fake.key[fake.first_open % sizeof fake.key]);
	if (fake.renewing) {
		fake.renewing = fake.sticky = false;
		fake.renewed++;
		fake.events.publish.requeue(fake.events.context, KB_RENEWED, NULL);
	}
	if (strlen(fake.sent) >= (size_t)fake.wanted || kb_clock_ms() > began + PATIENCE_MS) {
		began = 0;
		stop = 1;
	}
	return KB_BROKER_OK;
}

static const struct kb_broker_api api = {FAKE_BROKER, .connect = fake_connect, .process = fake_process,
	.poll_fd = fake_no_fd, .poll_timeout_ms = fake_short_timeout,
	.publish = &(const struct kb_publish_api){.publish = fake_publish, .renew = fake_renew}};

static void put(struct kb_outbox *outbox, size_t writer, const char *key)
{
	struct kb_message m = {.key = {key, 1}, .payload = {"{}", 2}};
	CHECK(kb_outbox_put(outbox, writer, &m) == KB_OUTBOX_ACCEPTED);
}

/* Publishes what is in the outbox until so many are confirmed. */
static void run(struct kb_outbox *outbox, int wanted, int retry_ms)
{
	stop = 0;
	fake.wanted = wanted;
	kb_publisher_run(&(struct kb_publisher){
		.api = &api, .outbox = outbox, .batch = 5, .retry_ms = retry_ms, .stop = &stop, .drain_ms = 2000});
}

static void test_recovery(void)
{
	struct kb_outbox *outbox = kb_outbox_create(2, 65536, 1);
	char wanted[2][MESSAGES + 1] = {{0}}, got[2][MESSAGES + 1] = {{0}};
	fake = (struct kb_broker){.sequence = 1, .first_open = 1};
	fake.sticky = true;
	fake.recovers_at = kb_clock_ms() + 250;
	for (int i = 0; i < MESSAGES; i++) {
		char upper[2] = {(char)('A' + i % 26), 0}, lower[2] = {(char)('a' + i % 26), 0};
		put(outbox, 0, upper);
		put(outbox, 1, lower);
		wanted[0][i] = upper[0];
		wanted[1][i] = lower[0];
	}
	run(outbox, 2 * MESSAGES, 3000);
	for (const char *c = fake.sent; *c; c++)
		strncat(got[*c >= 'a'], c, strlen(got[*c >= 'a']) < MESSAGES ? 1 : 0);
	CHECK(strlen(fake.sent) == 2 * MESSAGES);
	CHECK_TEXT(got[0], wanted[0]);
	CHECK_TEXT(got[1], wanted[1]);
	CHECK(fake.renewed >= 2 && fake.renewed <= 6);
	CHECK(kb_outbox_totals(outbox).bytes_used == 0);
	kb_outbox_destroy(outbox);
}

/* A key that is never taken: dropped after the patience, the others go on, the other writer has never waited. */
static void test_refused_for_good(void)
{
	struct kb_outbox *outbox = kb_outbox_create(2, 65536, 1);
	fake = (struct kb_broker){.sequence = 1, .first_open = 1};
	fake.refused_for_good = 'x';
	for (int i = 0; i < 5; i++) {
		put(outbox, 0, "x");
		put(outbox, 0, "a");
		put(outbox, 1, "b");
	}
	int64_t began = kb_clock_ms();
	run(outbox, 10, 300);
	CHECK(kb_clock_ms() - began >= 290);
	CHECK(kb_clock_ms() - began < 1500);
	size_t a = 0, b = 0;
	for (const char *c = fake.sent; *c; c++) {
		a += *c == 'a';
		b += *c == 'b';
	}
	CHECK(a == 5 && b == 5);
	CHECK(kb_outbox_totals(outbox).bytes_used == 0);
	kb_outbox_destroy(outbox);
}

static void test_no_retry(void)
{
	struct kb_outbox *outbox = kb_outbox_create(1, 65536, 1);
	fake = (struct kb_broker){.sequence = 1, .first_open = 1};
	fake.refused_for_good = 'x';
	put(outbox, 0, "x");
	put(outbox, 0, "a");
	run(outbox, 1, 0);
	CHECK_TEXT(fake.sent, "a");
	CHECK(fake.renewed == 0);
	CHECK(kb_outbox_totals(outbox).bytes_used == 0);
	kb_outbox_destroy(outbox);
}

/* The patience ends in the middle of many refusals: those before are sent again, those after it are not. */
static void test_patience_ends_in_between(void)
{
	struct kb_outbox *outbox = kb_outbox_create(1, 65536, 1);
	fake = (struct kb_broker){.sequence = 1, .first_open = 1};
	fake.recovers_at = kb_clock_ms() + 60; /* before the first pause is over */
	fake.slow = 'x';
	put(outbox, 0, "a");
	for (int i = 0; i < 4; i++)
		put(outbox, 0, "x");
	int64_t began = kb_clock_ms();
	run(outbox, 1, 2 * SLOW_MS);
	CHECK(fake.sent[0] == 'a');
	CHECK(strlen(fake.sent) < 5);
	CHECK(kb_clock_ms() - began < PATIENCE_MS);
	CHECK(kb_outbox_totals(outbox).bytes_used == 0);
	kb_outbox_destroy(outbox);
}

/* A patience below the pause is over with the first try. */
static void test_patience_below_the_pause(void)
{
	struct kb_outbox *outbox = kb_outbox_create(1, 65536, 1);
	fake = (struct kb_broker){.sequence = 1, .first_open = 1};
	fake.refused_for_good = 'x';
	put(outbox, 0, "x");
	put(outbox, 0, "a");
	int64_t began = kb_clock_ms();
	run(outbox, 1, 5);
	CHECK_TEXT(fake.sent, "a");
	CHECK(kb_clock_ms() - began < PATIENCE_MS);
	CHECK(kb_outbox_totals(outbox).bytes_used == 0);
	kb_outbox_destroy(outbox);
}

int main(void)
{
	test_recovery();
	test_refused_for_good();
	test_no_retry();
	test_patience_ends_in_between();
	test_patience_below_the_pause();
	return check_failures != 0;
}
