/* Who waits with a deadline waits that long in full, also when it begins at the end of a millisecond. */
#include "check.h"
#include "core/clock.h"
#include "core/outbox.h"
#include "core/replies.h"

enum { WAIT_MS = 2, TIMES = 20 };

static void wait_for_part_of_a_ms(int64_t from_us, int64_t to_us)
{
	for (int64_t part = kb_clock_us() % 1000; part < from_us || part >= to_us; part = kb_clock_us() % 1000)
		;
}

static void test_a_reply(void)
{
	struct kb_replies *replies = kb_replies_create(1, 1, 1, 64);
	for (int i = 0; i < TIMES; i++) {
		struct kb_slice reply;
		wait_for_part_of_a_ms(800, 1000);
		int64_t began = kb_clock_us();
		CHECK(kb_reply_claim_own(replies, 0) == 0);
		kb_reply_begin(replies, 0, kb_slice_from("id"), kb_slice_from(""), kb_clock_deadline_ms(WAIT_MS));
		wait_for_part_of_a_ms(0, 800); /* as long as the request takes to be sent */
		CHECK(kb_reply_wait(replies, 0, &reply) == KB_REPLY_TIMEOUT);
		CHECK(kb_clock_us() - began >= WAIT_MS * 1000);
		kb_reply_end(replies, 0);
	}
	kb_replies_destroy(replies);
}

static void test_an_outcome(void)
{
	struct kb_outbox *outbox = kb_outbox_create(1, 65536, 1);
	struct kb_message message = {.key = kb_slice_from("key")};
	CHECK(kb_outbox_put(outbox, 0, &message) == KB_OUTBOX_ACCEPTED);
	for (int i = 0; i < TIMES; i++) {
		wait_for_part_of_a_ms(999, 1000);
		int64_t began = kb_clock_us();
		CHECK(kb_outbox_await(outbox, 0, WAIT_MS) == KB_PENDING);
		CHECK(kb_clock_us() - began >= WAIT_MS * 1000);
	}
	kb_outbox_destroy(outbox);
}

int main(void)
{
	test_a_reply();
	test_an_outcome();
	return check_failures ? 1 : 0;
}
