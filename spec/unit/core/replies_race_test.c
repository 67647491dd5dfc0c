/* core/replies, where two processes meet in one slot: its inside is included, to stop one of them at any step; and what
 * a process makes of a slot that another one has spoilt. */
#include "../../../src/core/replies.c"

#include "check.h"
#include "core/clock.h"

enum { BYTES = 64 };

static struct kb_replies *replies;

static struct kb_slice text(const char *s)
{
	return kb_slice_from(s);
}

static long request(const char *id, int64_t deadline_ms)
{
	long slot = kb_reply_claim(replies);
	if (slot >= 0)
		kb_reply_begin(replies, (size_t)slot, text(id), text(""), deadline_ms);
	return slot;
}

/* The requester was stopped while it filled the slot, and goes on between the last look of the process that waits and
 * the end: no other process has the slot before that end, which would be the end of the other's request, too. */
static void test_received_while_given_up(void)
{
	struct kb_slice reply;
	struct kb_reply_room room;
	CHECK(request("one", kb_clock_ms() - 1000) == 0);
	CHECK(kb_replies_take(replies, text("one"), &room));
	CHECK(kb_reply_poll(replies, 0, &reply) == KB_REPLY_TIMEOUT);
	kb_replies_finish(replies, &room, 0);
	CHECK(request("two", kb_clock_deadline_ms(60000)) == KB_REPLY_TOO_MANY);
	kb_reply_end(replies, 0);
	CHECK(request("two", kb_clock_deadline_ms(60000)) == 0);
	CHECK(kb_replies_take(replies, text("two"), &room));
	kb_replies_finish(replies, &room, 0);
	kb_reply_end(replies, 0);
	CHECK(kb_replies_in_flight(replies) == 0);
}

/* It goes on only after the end. */
static void test_received_after_given_up(void)
{
	struct kb_slice reply;
	struct kb_reply_room room;
	CHECK(request("one", kb_clock_ms() - 1000) == 0);
	CHECK(kb_replies_take(replies, text("one"), &room));
	CHECK(kb_reply_poll(replies, 0, &reply) == KB_REPLY_TIMEOUT);
	kb_reply_end(replies, 0);
	CHECK(request("two", kb_clock_deadline_ms(60000)) == KB_REPLY_TOO_MANY); /* it is still being written to */
	kb_replies_finish(replies, &room, 0);
	CHECK(request("two", kb_clock_deadline_ms(60000)) == 0);
	kb_reply_end(replies, 0);
}

/* However a request ends before it was sent, only the process that claimed the slot ends it: twice would be once too
 * often for the count of requests in flight. */
static void test_lost_before_it_is_sent(void)
{
	CHECK(request("one", kb_clock_deadline_ms(60000)) == 0);
	kb_replies_lose(replies);
	CHECK(!kb_reply_is_handed_over(replies, 0));
	kb_reply_end(replies, 0);
	CHECK(request("two", kb_clock_deadline_ms(60000)) == 0);
	CHECK(!kb_reply_is_handed_over(replies, 0));
	kb_reply_hand_over(replies, 0, "note", 5);
	CHECK(kb_reply_is_handed_over(replies, 0));
	CHECK_TEXT(kb_reply_note(replies, 0), "note");
	kb_reply_end(replies, 0);
	CHECK(!kb_reply_is_handed_over(replies, 0));
}

/* A claimed slot in which nothing began yet waits for nothing. */
static void test_given_back_before_it_begins(void)
{
	struct kb_reply_room room;
	CHECK(request("one", kb_clock_deadline_ms(60000)) == 0);
	kb_reply_end(replies, 0);
	CHECK(kb_reply_claim(replies) == 0);
	CHECK(!kb_replies_take(replies, text("one"), &room));
	kb_replies_lose(replies);
	CHECK(kb_replies_in_flight(replies) == 0);
	kb_reply_end(replies, 0);
	CHECK(kb_reply_claim(replies) == 0);
	kb_reply_end(replies, 0);
}

static void discard(enum kb_log_level level, const char *line)
{
	(void)level, (void)line;
}

/* A size in shared memory beyond the slot is no size to read by. */
static void test_spoilt_size(void)
{
	struct kb_slice reply = {NULL, 0};
	struct kb_reply_room room;
	CHECK(request("one", kb_clock_deadline_ms(60000)) == 0);
	CHECK(kb_replies_take(replies, text("one"), &room));
	kb_replies_finish(replies, &room, BYTES);
	replies->slots[0].reply_size = (size_t)1 << 40;
	CHECK(kb_reply_poll(replies, 0, &reply) == KB_REPLY_LOST && reply.p == NULL);
	kb_reply_end(replies, 0);
}

static void test_spoilt_state(void)
{
	struct kb_slice reply;
	CHECK(request("one", kb_clock_deadline_ms(60000)) == 0);
	replies->slots[0].state = 4711;
	CHECK(kb_reply_poll(replies, 0, &reply) == KB_REPLY_FREE);
	kb_reply_end(replies, 0);
	CHECK(kb_reply_claim(replies) == 0);
	kb_reply_end(replies, 0);
}

int main(void)
{
	kb_log_set_sink(discard);
	kb_assert_set_aborts(false);
	replies = kb_replies_create(1, 0, 1, BYTES);
	CHECK(replies != NULL);
	kb_replies_limit(replies, 8);
	test_received_while_given_up();
	test_received_after_given_up();
	test_lost_before_it_is_sent();
	test_given_back_before_it_begins();
	test_spoilt_size();
	test_spoilt_state();
	kb_replies_destroy(replies);
	return check_failures != 0;
}
