/* core/replies with many slots: requests get the lowest ones, so that memory and searches follow what is in flight and
 * not what is allowed. */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "core/clock.h"
#include "core/replies.h"
#include "core/reply_slots.h"

enum { SHARES = 3, PAGE = 4096 };

static struct kb_replies *replies;

static long request(const char *id)
{
	long slot = kb_reply_claim(replies);
	if (slot >= 0)
		kb_reply_begin(replies, (size_t)slot, kb_slice_from(id), kb_slice_from("x"), kb_clock_deadline_ms(60000));
	return slot;
}

static void reply(const char *id, size_t size)
{
	struct kb_reply_room room;
	CHECK(kb_replies_take(replies, kb_slice_from(id), &room));
	memset(room.p, 'r', size);
	kb_replies_finish(replies, &room, size);
}

static void replied(const char *id, size_t size)
{
	long slot = request(id);
	reply(id, size);
	kb_reply_end(replies, (size_t)slot);
}

static size_t claimed_in(size_t share)
{
	size_t at = 0, slot, n = 0;
	while (kb_replies_next_claimed(replies, share, &at, &slot)) {
		CHECK((slot - replies->sync) % SHARES == share);
		n++;
	}
	return n;
}

/* -- claiming -- */

enum { OWN = 2, CLAIMABLE = 200 };

static void test_lowest_of_each_share_in_turn(void)
{
	for (long i = 0; i < 9; i++)
		CHECK(kb_reply_claim(replies) == OWN + i);
	for (size_t share = 0; share < SHARES; share++)
		CHECK(claimed_in(share) == 3);
	kb_reply_end(replies, OWN + 4);
	kb_reply_end(replies, OWN + 7);
	CHECK(claimed_in(1) == 1);
	CHECK(kb_reply_claim(replies) == OWN + 9);
	CHECK(kb_reply_claim(replies) == OWN + 4);
	for (size_t i = 0; i < 10; i++)
		if (i != 7)
			kb_reply_end(replies, OWN + i);
	CHECK(claimed_in(0) + claimed_in(1) + claimed_in(2) == 0);
}

static void test_all_of_them(void)
{
	bool seen[OWN + CLAIMABLE] = {false};
	for (size_t i = 0; i < CLAIMABLE; i++) {
		long slot = kb_reply_claim(replies);
		CHECK(slot >= OWN && slot < OWN + CLAIMABLE && !seen[slot]);
		seen[slot] = true;
	}
	CHECK(kb_reply_claim(replies) == KB_REPLY_TOO_MANY);
	kb_reply_end(replies, OWN + 150);
	CHECK(kb_reply_claim(replies) == OWN + 150);
	for (size_t i = 0; i < CLAIMABLE; i++)
		kb_reply_end(replies, OWN + i);
	CHECK(claimed_in(0) + claimed_in(1) + claimed_in(2) == 0);
}

static void test_claiming(void)
{
	replies = kb_replies_create(OWN + CLAIMABLE, OWN, SHARES, 64);
	test_lowest_of_each_share_in_turn();
	test_all_of_them();
	kb_replies_destroy(replies);
}

/* -- what the bound costs -- */

static int64_t cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Of searches of all kinds, with four requests in flight among so many allowed. */
static int64_t time_of_searches(size_t most)
{
	replies = kb_replies_create(most, 0, SHARES, 64);
	for (int i = 0; i < 3; i++)
		request("waits");
	int64_t began = cpu_ns();
	for (int i = 0; i < 200; i++) {
		replied("foreign", 1);
		CHECK(kb_replies_in_flight(replies) == 3);
		CHECK(claimed_in(0) + claimed_in(1) + claimed_in(2) == 3);
		kb_replies_end_all_to(replies, kb_slice_from("y"), KB_REPLY_UNROUTABLE);
		kb_replies_lose(replies);
	}
	int64_t took = cpu_ns() - began;
	kb_replies_destroy(replies);
	return took;
}

static void test_searches_follow_what_is_in_flight(void)
{
	time_of_searches(8);
	CHECK(time_of_searches(1 << 20) < 20 * time_of_searches(8));
}

static size_t resident_pages(void)
{
	static unsigned char in_memory[1 << 20];
	size_t bytes = replies->n * replies->stride, n = 0;
	CHECK(bytes / PAGE <= sizeof in_memory && mincore(replies->contents, bytes, in_memory) == 0);
	for (size_t i = 0; i < bytes / PAGE; i++)
		n += in_memory[i] & 1;
	return n;
}

static void test_memory_follows_what_is_in_flight(void)
{
	replies = kb_replies_create(10000, 0, SHARES, PAGE);
	for (int i = 0; i < 2000; i++)
		replied("one at a time", PAGE);
	CHECK(resident_pages() == SHARES);
	kb_replies_destroy(replies);
}

static void test_high_slots_keep_no_memory(void)
{
	char id[16];
	replies = kb_replies_create(3000, 0, SHARES, PAGE);
	for (int i = 0; i < 3000; i++) {
		snprintf(id, sizeof id, "%d", i);
		CHECK(request(id) == i);
		reply(id, PAGE);
	}
	CHECK(resident_pages() == 3000);
	for (size_t i = 0; i < 3000; i++)
		kb_reply_end(replies, i);
	CHECK(resident_pages() == 1024);
	kb_replies_destroy(replies);
}

static void test_long_replies_give_memory_back(void)
{
	replies = kb_replies_create(2, 1, 1, 1 << 20);
	replied("long", 1 << 20);
	CHECK(resident_pages() == 64 * 1024 / PAGE);
	CHECK(kb_reply_claim_own(replies, 0) == 0);
	kb_reply_begin(replies, 0, kb_slice_from("own"), kb_slice_from("x"), kb_clock_deadline_ms(60000));
	reply("own", 1 << 20);
	kb_reply_end(replies, 0); /* the process still reads it */
	CHECK(resident_pages() == (64 * 1024 + (1 << 20)) / PAGE);
	kb_replies_destroy(replies);
}

/* As with Kamailio's mlock_pages. */
static void test_locked_memory_is_not_taken_at_once(void)
{
	if (syscall(SYS_mlockall, MCL_FUTURE) != 0) /* not the sanitizer's, which does nothing */
		return;                                 /* which not everyone may */
	replies = kb_replies_create(256, 0, SHARES, 1 << 20);
	if (replies) {
		CHECK(resident_pages() == 0);
		replied("one", 1);
		CHECK(resident_pages() == 1);
	}
	kb_replies_destroy(replies);
	syscall(SYS_munlockall);
}

int main(void)
{
	test_claiming();
	test_searches_follow_what_is_in_flight();
	test_memory_follows_what_is_in_flight();
	test_high_slots_keep_no_memory();
	test_long_replies_give_memory_back();
	test_locked_memory_is_not_taken_at_once();
	return check_failures != 0;
}
