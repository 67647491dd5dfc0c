/* core/replies: how a question can end, and that it ends once. */
#include "core/replies.h"

#include "core/clock.h"
#include "check.h"

enum { SLOTS = 4, BYTES = 64 };

static struct kb_replies *replies;

static struct kb_slice text(const char *s)
{
	return kb_slice_from(s);
}

static void ask(size_t slot, const char *id, const char *to)
{
	CHECK(kb_reply_ask(replies, slot, text(id), kb_deadline_ms(60000)) == KB_REPLY_BEGUN);
	kb_reply_goes_to(replies, slot, text(to));
}

static enum kb_reply_state state_of(size_t slot)
{
	struct kb_slice answer;
	return kb_reply_poll(replies, slot, &answer);
}

static void end_all(void)
{
	for (size_t i = 0; i < SLOTS; i++)
		if (state_of(i) != KB_REPLY_FREE)
			kb_reply_end(replies, i);
	CHECK(kb_replies_under_way(replies) == 0);
}

static void test_answered(void)
{
	struct kb_slice answer;
	ask(0, "one", "x");
	ask(1, "two", "x");
	CHECK(!kb_replies_answer(replies, text("three"), text("no")));
	CHECK(kb_replies_answer(replies, text("two"), text("yes")));
	CHECK(!kb_replies_answer(replies, text("two"), text("again")));
	CHECK(!kb_replies_refuse(replies, text("two")));
	CHECK(state_of(0) == KB_REPLY_WAITING);
	CHECK(kb_reply_wait(replies, 1, &answer) == KB_REPLY_ANSWERED);
	CHECK(kb_slice_equal(answer, text("yes")));
	end_all();
}

static void test_too_large(void)
{
	static char longest[BYTES + 1];
	struct kb_slice answer;
	ask(0, "fits", "x");
	ask(1, "does not", "x");
	ask(2, "was not read", "x");
	CHECK(kb_replies_answer(replies, text("fits"), kb_slice(longest, BYTES)));
	CHECK(kb_replies_answer(replies, text("does not"), kb_slice(longest, BYTES + 1)));
	CHECK(kb_replies_answer_too_large(replies, text("was not read"), (size_t)5 << 32));
	CHECK(!kb_replies_answer_too_large(replies, text("was not read"), 1));
	CHECK(kb_reply_wait(replies, 0, &answer) == KB_REPLY_ANSWERED && answer.n == BYTES);
	CHECK(kb_reply_wait(replies, 1, &answer) == KB_REPLY_TOO_LARGE && answer.n == BYTES + 1);
	CHECK(kb_reply_wait(replies, 2, &answer) == KB_REPLY_TOO_LARGE && answer.n == (size_t)5 << 32);
	end_all();
}

static void test_refused(void)
{
	ask(0, "one", "x");
	ask(1, "two", "x");
	CHECK(kb_replies_refuse(replies, text("one")));
	CHECK(!kb_replies_refuse(replies, text("one")));
	CHECK(!kb_replies_refuse(replies, text("")));
	CHECK(!kb_replies_answer(replies, text("one"), text("late")));
	CHECK(state_of(0) == KB_REPLY_UNROUTABLE && state_of(1) == KB_REPLY_WAITING);
	end_all();
}

static void test_refused_by_where_it_goes(void)
{
	ask(0, "one", "x");
	ask(1, "two", "y");
	ask(2, "three", "x");
	CHECK(kb_reply_ask(replies, 3, text("four"), kb_deadline_ms(60000)) == KB_REPLY_BEGUN);
	CHECK(kb_replies_answer(replies, text("three"), text("before")));
	kb_replies_refuse_all(replies, text("x"));
	CHECK(state_of(0) == KB_REPLY_UNROUTABLE);
	CHECK(state_of(1) == KB_REPLY_WAITING);
	CHECK(state_of(2) == KB_REPLY_ANSWERED);
	CHECK(state_of(3) == KB_REPLY_WAITING);
	kb_replies_refuse_all(replies, text(""));
	CHECK(state_of(3) == KB_REPLY_WAITING); /* nobody has said where it goes */
	end_all();
	/* The slot's next question may go elsewhere. */
	CHECK(kb_reply_ask(replies, 0, text("five"), kb_deadline_ms(60000)) == KB_REPLY_BEGUN);
	kb_replies_refuse_all(replies, text("x"));
	CHECK(state_of(0) == KB_REPLY_WAITING);
	end_all();
}

static void test_lost(void)
{
	ask(0, "one", "x");
	ask(1, "two", "x");
	CHECK(kb_replies_refuse(replies, text("one")));
	kb_replies_close(replies, NULL);
	CHECK(state_of(0) == KB_REPLY_UNROUTABLE && state_of(1) == KB_REPLY_LOST);
	end_all();
}

int main(void)
{
	replies = kb_replies_create(SLOTS, SLOTS, 1, BYTES);
	CHECK(replies != NULL);
	test_answered();
	test_too_large();
	test_refused();
	test_refused_by_where_it_goes();
	test_lost();
	kb_replies_destroy(replies);
	return check_failures != 0;
}
