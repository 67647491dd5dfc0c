/* core/ring: what a reader leaves, settles one by one or up to a cursor, and goes back to. */
#include "core/ring.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "lanes.h"

/* -- a reader that dies leaves its messages -- */

static void shows_to_the_next_reader_what_the_last_left(void)
{
	size_t bytes = 1 << 20;
	void *memory = mmap(NULL, kb_ring_footprint(bytes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kb_ring *ring = kb_ring_init(memory, bytes);
	for (uint32_t i = 0; i < 1000; i++) {
		memcpy(kb_ring_reserve(ring, 4), &i, 4);
		kb_ring_commit(ring);
	}
	pid_t child = fork();
	if (child == 0) {
		uint64_t cursor = kb_ring_cursor(ring);
		for (int i = 0; i < 500; i++) {
			struct kb_record *record = kb_ring_next(ring, &cursor);
			if (i % 2 == 0)
				kb_ring_settle(ring, record, KB_DONE);
		}
		_exit(0);
	}
	end_child(child);
	uint64_t cursor = kb_ring_cursor(ring);
	struct kb_record *record;
	uint32_t number, expected = 1;
	while ((record = kb_ring_next(ring, &cursor))) {
		memcpy(&number, record->data, 4);
		CHECK(number == expected);
		expected += expected < 499 ? 2 : 1;
	}
	CHECK(expected == 1000);
	munmap(memory, kb_ring_footprint(bytes));
}

/* -- some are settled one by one, and the others with all before them -- */

static void write_number(struct kb_ring *ring, uint32_t i)
{
	memcpy(kb_ring_reserve(ring, 4), &i, 4);
	kb_ring_commit(ring);
}

static void settles_all_up_to_a_cursor(void)
{
	enum { LAPS = 400, EACH = 50 };
	struct kb_ring *ring = kb_ring_init(aligned_alloc(64, kb_ring_footprint(4096)), 4096);
	uint64_t cursor = kb_ring_cursor(ring);
	for (uint32_t lap = 0; lap < LAPS; lap++) {
		uint64_t middle = 0;
		for (uint32_t i = 0; i < EACH; i++)
			write_number(ring, i);
		for (uint32_t i = 0; i < EACH; i++) {
			struct kb_record *record = kb_ring_next(ring, &cursor);
			CHECK(record && *record->data == i);
			if (i == 20)
				middle = cursor;
			if (i == 10 || i == 21 || i == 30)
				kb_ring_settle(ring, record, KB_REJECTED);
		}
		kb_ring_settle_up_to(ring, middle);
		uint64_t again = kb_ring_cursor(ring);
		struct kb_record *record = kb_ring_next(ring, &again);
		CHECK(record && *record->data == 22); /* 21 was settled already */
		kb_ring_settle_up_to(ring, cursor);
		CHECK(kb_ring_empty(ring) && kb_ring_used(ring) == 0);
		kb_ring_reclaim(ring);
	}
	free(ring);
}

/* -- a reader that goes back to before some that are settled, as when the broker takes no more -- */

static void goes_on_behind_what_was_settled(void)
{
	struct kb_ring *ring = kb_ring_init(aligned_alloc(64, kb_ring_footprint(4096)), 4096);
	struct kb_record *records[3];
	uint64_t cursor = kb_ring_cursor(ring);
	for (uint32_t i = 0; i < 3; i++)
		write_number(ring, i);
	for (int i = 0; i < 3; i++)
		records[i] = kb_ring_next(ring, &cursor);
	kb_ring_settle(ring, records[1], KB_DONE);
	cursor = kb_ring_cursor(ring);
	CHECK(kb_ring_next(ring, &cursor) == records[0]);
	uint64_t before = cursor;
	CHECK(kb_ring_next(ring, &cursor) == records[2]);
	cursor = before;
	kb_ring_settle(ring, records[0], KB_DONE);
	kb_ring_reclaim(ring);
	for (uint32_t i = 3; i < 4096 / 16; i++)
		write_number(ring, i);
	memset(kb_ring_reserve(ring, 24), 0, 24); /* where the first two were */
	kb_ring_commit(ring);
	CHECK(kb_ring_next(ring, &cursor) == records[2]);
	free(ring);
}

int main(void)
{
	shows_to_the_next_reader_what_the_last_left();
	settles_all_up_to_a_cursor();
	goes_on_behind_what_was_settled();
	return check_failures ? 1 : 0;
}
