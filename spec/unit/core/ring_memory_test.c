/* core/ring: a ring that is drained needs little memory, and goes back to that after a burst. */
#include "core/ring.h"

#include <sys/mman.h>
#include <unistd.h>
#include "lanes.h"

enum { RING_BYTES = 4 << 20, KB = 1024 };

static struct kb_ring *shared_ring(void)
{
	void *memory = mmap(NULL, kb_ring_footprint(RING_BYTES), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return kb_ring_init(memory, RING_BYTES);
}

static size_t resident_bytes(void *memory, size_t bytes)
{
	static unsigned char pages[16 << 10];
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 0;
	uintptr_t start = (uintptr_t)memory & ~(page - 1);
	size_t in_core = ((uintptr_t)memory + bytes - start + page - 1) / page;
	CHECK(in_core <= sizeof pages && mincore((void *)start, in_core * page, pages) == 0);
	for (size_t i = 0; i < in_core; i++)
		n += pages[i] & 1;
	return n * page;
}

static size_t ring_memory(struct kb_ring *ring)
{
	return resident_bytes(ring, kb_ring_footprint(RING_BYTES));
}

static bool write_payload(struct kb_ring *ring, uint32_t number)
{
	unsigned char bytes[1024];
	size_t n = payload_of(number, bytes);
	void *to = kb_ring_reserve(ring, n);
	if (!to)
		return false;
	memcpy(to, bytes, n);
	kb_ring_commit(ring);
	return true;
}

static void take_payload(struct kb_ring *ring, uint64_t *cursor, uint32_t number)
{
	struct kb_record *record = kb_ring_next(ring, cursor);
	CHECK(record && is_payload_of(number, kb_slice((char *)record->data, record->size)));
	if (record)
		kb_ring_settle(ring, record, KB_DONE);
}

/* 70 MB, of which there are never more than 10 messages in the ring. */
static void needs_few_pages_while_it_is_drained(void)
{
	struct kb_ring *ring = shared_ring();
	uint64_t cursor = kb_ring_cursor(ring);
	for (uint32_t i = 0; i < 200 * 1000; i += 10) {
		for (uint32_t k = i; k < i + 10; k++)
			CHECK(write_payload(ring, k));
		for (uint32_t k = i; k < i + 10; k++)
			take_payload(ring, &cursor, k);
		kb_ring_reclaim(ring);
	}
	CHECK(ring_memory(ring) <= 300 * KB);
	munmap(ring, kb_ring_footprint(RING_BYTES));
}

/* All of the bound is there for a reader that has gone away, wherever in its memory the ring stands. */
static void has_all_its_room_when_it_has_started_over(void)
{
	struct kb_ring *ring = shared_ring();
	uint64_t cursor = kb_ring_cursor(ring);
	uint32_t first = 0, next = 0;
	for (int round = 0; round < 20; round++) {
		size_t used = 0;
		for (; write_payload(ring, next); next++)
			used = kb_ring_used(ring);
		CHECK(used > RING_BYTES - 2 * 1024);
		for (; first < next - (uint32_t)round % 2; first++) /* to the last one, or to the last but one */
			take_payload(ring, &cursor, first);
		kb_ring_reclaim(ring);
	}
	munmap(ring, kb_ring_footprint(RING_BYTES));
}

static void gives_back_what_a_burst_has_taken(void)
{
	struct kb_ring *ring = shared_ring();
	uint64_t cursor = kb_ring_cursor(ring);
	uint32_t first = 0, next = 0;
	while (write_payload(ring, next))
		next++;
	kb_ring_trim(ring);
	CHECK(ring_memory(ring) >= RING_BYTES - 8 * KB);
	while (first < next)
		take_payload(ring, &cursor, first++);
	kb_ring_trim(ring);
	CHECK(ring_memory(ring) >= RING_BYTES - 8 * KB); /* not reclaimed */
	CHECK(kb_ring_spread(ring));
	for (int i = 0; i < RING_BYTES / (256 * KB); i++) {
		kb_ring_reclaim(ring);
		kb_ring_trim(ring);
		CHECK(write_payload(ring, next));
		take_payload(ring, &cursor, next++);
	}
	CHECK(ring_memory(ring) <= (1024 + 8) * KB);
	CHECK(!kb_ring_spread(ring));
	munmap(ring, kb_ring_footprint(RING_BYTES));
}

/* What lies in front of the ring and behind it stays, though it shares pages with it. */
static void gives_back_no_byte_of_anything_else(void)
{
	size_t before = 1000 * 64, size = kb_ring_footprint(RING_BYTES), total = before + size + 1000;
	unsigned char *memory = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(memory, 7, total);
	struct kb_ring *ring = kb_ring_init(memory + before, RING_BYTES);
	uint64_t cursor = kb_ring_cursor(ring);
	uint32_t first = 0, next = 0;
	while (write_payload(ring, next))
		next++;
	while (first < next)
		take_payload(ring, &cursor, first++);
	kb_ring_reclaim(ring);
	for (int i = 0; i < RING_BYTES / (256 * KB); i++)
		kb_ring_trim(ring);
	CHECK(resident_bytes(memory, total) < before + (1024 + 16) * KB);
	for (size_t i = 0; i < total; i = i == before - 1 ? before + size : i + 1)
		CHECK(memory[i] == 7);
	munmap(memory, total);
}

/* Bursts and pauses of any length, with outcomes that come in any order: all comes out, in order. */
static void trims_without_touching_what_is_open(void)
{
	enum { OPEN = 20000 };
	static struct kb_record *open[OPEN];
	struct kb_ring *ring = shared_ring();
	uint64_t cursor = kb_ring_cursor(ring);
	uint32_t written = 0, taken = 0, settled = 0;
	unsigned random = 1;
	while (settled < 3 * MESSAGES) {
		random = random * 1103515245 + 12345;
		unsigned n = 1 + (random >> 16) % ((random >> 8) % 16 == 0 ? 12000 : 20), what = (random >> 12) % 8;
		for (; what < 3 && n && written < settled + OPEN && write_payload(ring, written); n--)
			written++;
		for (; what >= 3 && what < 6 && n && taken < written; n--, taken++) {
			struct kb_record *record = open[taken % OPEN] = kb_ring_next(ring, &cursor);
			CHECK(record && is_payload_of(taken, kb_slice((char *)record->data, record->size)));
			if (!record)
				return;
		}
		for (; what >= 6 && n && settled<taken; n -= n> 1 ? 2 : 1) {
			unsigned pair = taken - settled > 1 ? 2 : 1; /* the second of two first */
			for (unsigned k = pair; k-- > 0;)
				kb_ring_settle(ring, open[(settled + k) % OPEN], KB_DONE);
			settled += pair;
		}
		if (what % 2)
			kb_ring_reclaim(ring);
		kb_ring_trim(ring);
	}
	munmap(ring, kb_ring_footprint(RING_BYTES));
}

int main(void)
{
	needs_few_pages_while_it_is_drained();
	has_all_its_room_when_it_has_started_over();
	gives_back_what_a_burst_has_taken();
	gives_back_no_byte_of_anything_else();
	trims_without_touching_what_is_open();
	return check_failures ? 1 : 0;
}
