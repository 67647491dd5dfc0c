/* bus/publisher with a broker that writes down what is asked of it: amqp_internal_loop_count and
 * amqp_interprocess_timeout (kazoo manual 4.2.2, 4.3.2). */
#include "check.h"

#include "bus/publisher.h"
#include "core/clock.h"

struct kb_broker {
	struct kb_broker_events events;
	char trace[256]; /* the payloads published, and a P for each process() */
	size_t n;
	uint64_t at_ms[16]; /* of the process() calls */
	unsigned calls, calls_left;
	volatile int stop;
};

#include "fake_broker.h"

static enum kb_broker_result fake_publish(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence)
{
	*sequence = 0; /* settled */
	b->trace[b->n++] = m->payload.p[0];
	return KB_BROKER_OK;
}

static enum kb_broker_result fake_process(struct kb_broker *b, unsigned max)
{
	(void)max;
	b->trace[b->n++] = 'P';
	b->at_ms[b->calls++] = kb_clock_ms();
	if (--b->calls_left == 0)
		b->stop = 1;
	return KB_BROKER_OK;
}

static const struct kb_broker_api api = {FAKE_BROKER, .connect = fake_connect, .process = fake_process,
	.poll_fd = fake_no_fd, .poll_timeout_ms = fake_no_timeout,
	.publish = &(const struct kb_publish_api){.publish = fake_publish}};

static void put(struct kb_outbox *outbox, size_t writer, const char *payload, int times)
{
	struct kb_message m = {.payload = kb_slice_from(payload)};
	while (times--)
		CHECK(kb_outbox_put(outbox, writer, &m) == KB_OUTBOX_ACCEPTED);
}

static void run(unsigned batch, int timeout_ms, unsigned calls, int messages)
{
	struct kb_outbox *outbox = kb_outbox_create(2, 65536, 1);
	put(outbox, 0, "a", messages);
	put(outbox, 1, "b", messages);
	fake = (struct kb_broker){.calls_left = calls};
	kb_publisher_run(&(struct kb_publisher){
		.api = &api, .outbox = outbox, .batch = batch, .timeout_ms = timeout_ms, .stop = &fake.stop});
	kb_outbox_destroy(outbox);
}

static void test_internal_loop_count(void)
{
	run(5, 1, 4, 12);
	CHECK_TEXT(fake.trace, "aaaaabbbbbPaaaaabbbbbPaabbPP");
	run(1, 1, 4, 3);
	CHECK_TEXT(fake.trace, "abPabPabPP");
}

static void test_interprocess_timeout(void)
{
	run(5, 40, 6, 0);
	uint64_t ms = fake.at_ms[5] - fake.at_ms[0];
	CHECK(ms >= 190 && ms < 4000);
}

int main(void)
{
	test_internal_loop_count();
	test_interprocess_timeout();
	return check_failures != 0;
}
