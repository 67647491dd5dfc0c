/* core/replies, where two processes meet in one slot: its inside is included, to stop one of them at any step. */
#include "../../../src/core/replies.c"

#include "check.h"

enum { BYTES = 64 };

static struct kb_replies *replies;

static struct kb_slice text(const char *s)
{
	return kb_slice_from(s);
}

static long claim(const char *id, int64_t deadline_ms)
{
	return kb_reply_claim(replies, text(id), deadline_ms);
}

/* An answerer was stopped while it filled the slot, and goes on between its asker's last look and the end: the slot is
 * not another's before that end, which would be the end of the other's question, too. */
static void test_answered_while_given_up(void)
{
	struct kb_slice answer;
	long slot = claim("one", kb_now_ms() - 1000);
	struct slot *s = take_by_id(replies, text("one"));
	CHECK(slot == 0 && s != NULL);
	CHECK(kb_reply_poll(replies, 0, &answer) == KB_REPLY_TIMEOUT);
	finish(replies, s, KB_REPLY_ANSWERED);
	CHECK(claim("two", kb_deadline_ms(60000)) == -1);
	kb_reply_end(replies, 0);
	CHECK(claim("two", kb_deadline_ms(60000)) == 0);
	CHECK(kb_replies_answer(replies, text("two"), text("yes")));
	kb_reply_end(replies, 0);
	CHECK(kb_replies_under_way(replies) == 0);
}

/* It goes on only after the end. */
static void test_answered_after_given_up(void)
{
	struct kb_slice answer;
	CHECK(claim("one", kb_now_ms() - 1000) == 0);
	struct slot *s = take_by_id(replies, text("one"));
	CHECK(kb_reply_poll(replies, 0, &answer) == KB_REPLY_TIMEOUT);
	kb_reply_end(replies, 0);
	CHECK(claim("two", kb_deadline_ms(60000)) == -1); /* it is still being written to */
	finish(replies, s, KB_REPLY_ANSWERED);
	CHECK(claim("two", kb_deadline_ms(60000)) == 0);
	kb_reply_end(replies, 0);
}

/* However a question ends before it was sent, only its claimer ends it: twice would be once too often for the count of
 * what is under way. */
static void test_lost_before_it_is_sent(void)
{
	CHECK(claim("one", kb_deadline_ms(60000)) == 0);
	kb_replies_lose(replies);
	CHECK(!kb_reply_is_handed_over(replies, 0));
	kb_reply_end(replies, 0);
	CHECK(claim("two", kb_deadline_ms(60000)) == 0);
	CHECK(!kb_reply_is_handed_over(replies, 0));
	kb_reply_hand_over(replies, 0, "note", 5);
	CHECK(kb_reply_is_handed_over(replies, 0));
	CHECK_TEXT(kb_reply_note(replies, 0), "note");
	kb_reply_end(replies, 0);
	CHECK(!kb_reply_is_handed_over(replies, 0));
}

int main(void)
{
	replies = kb_replies_create(1, 0, 1, BYTES);
	CHECK(replies != NULL);
	kb_replies_limit(replies, 8);
	test_answered_while_given_up();
	test_answered_after_given_up();
	test_lost_before_it_is_sent();
	kb_replies_destroy(replies);
	return check_failures != 0;
}
