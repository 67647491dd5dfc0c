/* core/replies: how a request can end, that it ends once, and that its slot is found without a search. */
#include "core/replies.h"

#include <time.h>
#include "check.h"
#include "core/clock.h"
#include "core/reply_id.h"

enum { SLOTS = 4, BYTES = 64, LEFT_MS = 60000 };

static struct kb_replies *replies;

static struct kb_slice text(const char *s)
{
	return kb_slice_from(s);
}

static void begin(size_t slot, struct kb_slice id, const char *to)
{
	CHECK(kb_reply_claim_own(replies, slot) == (long)slot);
	kb_reply_begin(replies, slot, id, text(to), kb_clock_deadline_ms(LEFT_MS));
}

static void request(size_t slot, const char *id, const char *to)
{
	begin(slot, text(id), to);
}

static bool put(struct kb_slice id, struct kb_slice reply)
{
	struct kb_reply_room room;
	if (!kb_replies_take(replies, id, &room))
		return false;
	CHECK(room.n == BYTES && (uintptr_t)room.p % 8 == 0);
	if (reply.n <= room.n)
		memcpy(room.p, reply.p, reply.n);
	kb_replies_finish(replies, &room, reply.n);
	return true;
}

static enum kb_reply_state state_of(size_t slot)
{
	struct kb_slice reply;
	return kb_reply_poll(replies, slot, &reply);
}

static void end_all(void)
{
	for (size_t i = 0; i < SLOTS; i++)
		if (state_of(i) != KB_REPLY_FREE)
			kb_reply_end(replies, i);
	CHECK(kb_replies_in_flight(replies) == 0);
}

static void test_received(void)
{
	struct kb_slice reply;
	request(0, "one", "x");
	request(1, "two", "x");
	CHECK(!put(text("three"), text("no")));
	CHECK(put(text("two"), text("yes")));
	CHECK(!put(text("two"), text("again")));
	CHECK(!kb_replies_end(replies, text("two"), KB_REPLY_UNROUTABLE));
	CHECK(state_of(0) == KB_REPLY_WAITING);
	CHECK(kb_reply_wait(replies, 1, &reply) == KB_REPLY_RECEIVED);
	CHECK(kb_slice_equal(reply, text("yes")));
	end_all();
}

/* The process reads its own slot in place until it begins its next request. */
static void test_stays_readable(void)
{
	struct kb_slice reply;
	request(0, "one", "x");
	CHECK(put(text("one"), text("yes")));
	CHECK(kb_reply_wait(replies, 0, &reply) == KB_REPLY_RECEIVED);
	kb_reply_end(replies, 0);
	CHECK(!put(text("one"), text("repeated")));
	CHECK(kb_reply_claim_own(replies, 0) == 0);
	CHECK(!put(text("one"), text("repeated")));
	CHECK(kb_slice_equal(reply, text("yes")));
	kb_reply_end(replies, 0);
}

static void test_too_large(void)
{
	static char longest[BYTES + 1];
	struct kb_slice reply;
	request(0, "fits", "x");
	request(1, "does not", "x");
	request(2, "was not read", "x");
	CHECK(put(text("fits"), kb_slice(longest, BYTES)));
	CHECK(put(text("does not"), kb_slice(longest, BYTES + 1)));
	CHECK(put(text("was not read"), kb_slice(NULL, (size_t)5 << 32)));
	CHECK(!put(text("was not read"), kb_slice(NULL, 1)));
	CHECK(kb_reply_wait(replies, 0, &reply) == KB_REPLY_RECEIVED && reply.n == BYTES);
	CHECK(kb_reply_wait(replies, 1, &reply) == KB_REPLY_TOO_LARGE && reply.n == BYTES + 1);
	CHECK(kb_reply_wait(replies, 2, &reply) == KB_REPLY_TOO_LARGE && reply.n == (size_t)5 << 32);
	end_all();
}

static void test_ended_without_a_reply(void)
{
	request(0, "one", "x");
	request(1, "two", "x");
	request(2, "three", "x");
	request(3, "four", "x");
	CHECK(kb_replies_end(replies, text("one"), KB_REPLY_UNROUTABLE));
	CHECK(!kb_replies_end(replies, text("one"), KB_REPLY_UNROUTABLE));
	CHECK(!kb_replies_end(replies, text(""), KB_REPLY_UNROUTABLE));
	CHECK(!put(text("one"), text("late")));
	CHECK(kb_replies_end(replies, text("two"), KB_REPLY_UNSENT));
	CHECK(kb_replies_end(replies, text("three"), KB_REPLY_FORBIDDEN));
	CHECK(state_of(0) == KB_REPLY_UNROUTABLE && state_of(1) == KB_REPLY_UNSENT);
	CHECK(state_of(2) == KB_REPLY_FORBIDDEN && state_of(3) == KB_REPLY_WAITING);
	end_all();
}

static void test_ended_by_where_it_goes(void)
{
	request(0, "one", "x");
	request(1, "two", "y");
	request(2, "three", "x");
	request(3, "four", "");
	CHECK(put(text("three"), text("before")));
	kb_replies_end_all_to(replies, text("x"), KB_REPLY_UNROUTABLE);
	CHECK(state_of(0) == KB_REPLY_UNROUTABLE);
	CHECK(state_of(1) == KB_REPLY_WAITING);
	CHECK(state_of(2) == KB_REPLY_RECEIVED);
	CHECK(state_of(3) == KB_REPLY_WAITING);
	end_all();
	/* The slot's next request may go elsewhere. */
	request(0, "five", "z");
	kb_replies_end_all_to(replies, text("x"), KB_REPLY_UNROUTABLE);
	CHECK(state_of(0) == KB_REPLY_WAITING);
	end_all();
}

static void test_lost(void)
{
	request(0, "one", "x");
	request(1, "two", "x");
	CHECK(kb_replies_end(replies, text("one"), KB_REPLY_UNROUTABLE));
	kb_replies_close(replies, NULL);
	CHECK(state_of(0) == KB_REPLY_UNROUTABLE && state_of(1) == KB_REPLY_LOST);
	end_all();
}

/* -- ids that name their slot -- */

static struct kb_slice id_of(size_t slot)
{
	static char ids[SLOTS][KB_REPLY_ID_WORD_CHARS];
	char *id = ids[slot % SLOTS];
	kb_reply_id_word(id, slot);
	return kb_slice(id, KB_REPLY_ID_WORD_CHARS);
}

static void test_named_slot(void)
{
	struct kb_slice id = id_of(2), other = id_of(3), late = id_of(1);
	begin(2, id, "x");
	CHECK(!put(late, text("late"))); /* whose slot is free */
	CHECK(!put(other, text("no")));
	begin(3, other, "x");
	CHECK(put(other, text("3")));
	CHECK(put(id, text("2")));
	CHECK(state_of(2) == KB_REPLY_RECEIVED && state_of(3) == KB_REPLY_RECEIVED);
	end_all();
}

/* An id names a slot in which another request waits: it ends that of its own slot, or none. */
static void test_wrong_slot(void)
{
	struct kb_slice id = id_of(2), wrong = id_of(3), beyond = id_of(0xffffff);
	begin(3, id, "x"); /* a Msg-ID of a script may end in any digits */
	begin(2, text("another"), "x");
	CHECK(!put(wrong, text("forged")));
	CHECK(!put(beyond, text("forged")));
	CHECK(state_of(2) == KB_REPLY_WAITING && state_of(3) == KB_REPLY_WAITING);
	CHECK(put(id, text("yes")));
	CHECK(state_of(2) == KB_REPLY_WAITING && state_of(3) == KB_REPLY_RECEIVED);
	end_all();
}

/* The search goes on exactly as long as a foreign id is in flight. */
static void test_foreign_among_named(void)
{
	struct kb_slice id = id_of(0);
	begin(0, id, "x");
	request(1, "foreign", "x");
	request(2, "foreign, too", "x");
	CHECK(put(text("foreign"), text("yes")));
	kb_reply_end(replies, 1);
	CHECK(put(text("foreign, too"), text("yes")));
	kb_reply_end(replies, 2);
	CHECK(put(id, text("yes")));
	end_all();
	request(1, "foreign", "x");
	CHECK(put(text("foreign"), text("yes")));
	end_all();
}

/* -- the time that it takes -- */

enum { MANY = 50000, TIMES = 200 };

static int64_t cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* CPU time of matching so many replies, all for the last slot. */
static int64_t time_of_replies(struct kb_slice id, struct kb_slice reply_to, bool matches)
{
	int64_t began = cpu_ns();
	for (int i = 0; i < TIMES; i++) {
		begin(MANY - 1, id, "x");
		CHECK(put(reply_to, text("yes")) == matches);
		kb_reply_end(replies, MANY - 1);
	}
	return cpu_ns() - began;
}

static void test_no_search_among_many(void)
{
	struct kb_replies *few = replies;
	struct kb_slice id = id_of(MANY - 1), late = id_of(MANY - 2);
	replies = kb_replies_create(MANY, MANY, 1, BYTES);
	time_of_replies(text("foreign"), text("foreign"), true); /* takes the pages */
	int64_t searched = time_of_replies(text("foreign"), text("foreign"), true);
	CHECK(time_of_replies(id, id, true) < searched / 10);
	CHECK(time_of_replies(id, late, false) < searched / 10);
	kb_replies_destroy(replies);
	replies = few;
}

int main(void)
{
	replies = kb_replies_create(SLOTS, SLOTS, 1, BYTES);
	CHECK(replies != NULL);
	test_received();
	test_stays_readable();
	test_too_large();
	test_ended_without_a_reply();
	test_ended_by_where_it_goes();
	test_lost();
	test_named_slot();
	test_wrong_slot();
	test_foreign_among_named();
	test_no_search_among_many();
	kb_replies_destroy(replies);
	return check_failures != 0;
}
