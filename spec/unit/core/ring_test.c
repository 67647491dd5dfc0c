/* core/ring, core/wake, core/outbox and core/inbox between two processes: every message once, in order, none lost to
 * sleep. */
#include "core/inbox.h"
#include "core/outbox.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

enum { MESSAGES = 200 * 1000, PATIENCE_MS = 20 * 1000 };

/* A payload whose every byte follows from its number, of a length that makes laps end everywhere. */
static size_t payload_of(uint32_t number, unsigned char to[1024])
{
	size_t n = 4 + number * 2654435761u % 700;
	memcpy(to, &number, 4);
	for (size_t i = 4; i < n; i++)
		to[i] = (unsigned char)(number + i);
	return n;
}

static bool is_payload_of(uint32_t number, struct kb_slice payload)
{
	unsigned char wanted[1024];
	size_t n = payload_of(number, wanted);
	return payload.n == n && memcmp(payload.p, wanted, n) == 0;
}

/* Sleeps until there is something; false: nobody woke us. `ready` is asked once more after arming. */
static bool sleep_on(struct kb_wake *wake, bool (*ready)(void *), void *context)
{
	bool woken = true;
	kb_wake_arm(wake);
	if (!ready(context)) {
		struct pollfd fd = {.fd = kb_wake_fd(wake), .events = POLLIN};
		woken = poll(&fd, 1, PATIENCE_MS) == 1;
	}
	kb_wake_disarm(wake);
	return woken;
}

static void end_child(pid_t child)
{
	int status;
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* -- outbox: a writer that retries when it is full, a reader that sleeps when it is empty -- */

static bool outbox_ready(void *ring)
{
	return !kb_ring_empty(ring);
}

static void write_to_outbox(struct kb_outbox *outbox, size_t writer)
{
	unsigned char bytes[1024];
	for (uint32_t i = 0; i < MESSAGES;) {
		struct kb_message m = {.key = KB_SLICE_LITERAL("key"), .payload = kb_slice(bytes, payload_of(i, bytes))};
		if (kb_outbox_put(outbox, writer, &m) == KB_OUTBOX_ACCEPTED)
			i++;
		else
			usleep(1); /* the reader has to run */
	}
}

static void read_outbox(struct kb_outbox *outbox)
{
	struct kb_ring *ring = kb_outbox_ring(outbox, 0);
	uint64_t cursor = kb_ring_cursor(ring);
	for (uint32_t i = 0; i < MESSAGES;) {
		struct kb_message m;
		struct kb_record *record = kb_ring_next(ring, &cursor);
		if (!record) {
			if (sleep_on(kb_outbox_wake(outbox, 0), outbox_ready, ring))
				continue;
			CHECK(!"the writer woke nobody");
			return;
		}
		CHECK(kb_message_decode(record->data, record->size, &m));
		CHECK(is_payload_of(i, m.payload) && kb_slice_equal(m.key, KB_SLICE_LITERAL("key")));
		kb_ring_settle(ring, record, KB_DONE);
		i++;
	}
	CHECK(kb_ring_empty(ring));
}

static void carries_an_outbox_between_processes(void)
{
	struct kb_outbox *outbox = kb_outbox_create(1, 16384, 1);
	pid_t child = fork();
	if (child == 0) {
		write_to_outbox(outbox, 0);
		_exit(check_failures);
	}
	read_outbox(outbox);
	end_child(child);
	CHECK(kb_outbox_totals(outbox).accepted == MESSAGES);
	CHECK(kb_outbox_totals(outbox).bytes_used == 0);
	CHECK(kb_outbox_totals(outbox).bytes_high <= 16384);
	kb_outbox_destroy(outbox);
}

static void says_why_an_outbox_refuses(void)
{
	struct kb_outbox *outbox = kb_outbox_create(3, 4096, 2);
	static char bytes[4096];
	struct kb_message m = {.payload = kb_slice(bytes, 100)};
	struct kb_message large = {.payload = kb_slice(bytes, kb_outbox_message_max(outbox) + 1)};
	uint64_t accepted = 0;
	while (kb_outbox_room(outbox, 1, &m) == KB_OUTBOX_ACCEPTED) {
		CHECK(kb_outbox_put(outbox, 1, &m) == KB_OUTBOX_ACCEPTED);
		accepted++;
	}
	CHECK(accepted > 10);
	CHECK(kb_outbox_put(outbox, 1, &m) == KB_OUTBOX_FULL);
	CHECK(kb_outbox_put(outbox, 1, &large) == KB_OUTBOX_TOO_LARGE);
	CHECK(kb_outbox_room(outbox, 1, &large) == KB_OUTBOX_TOO_LARGE);
	CHECK(kb_outbox_put(outbox, 2, &m) == KB_OUTBOX_ACCEPTED); /* a ring for each writer */
	CHECK(kb_outbox_wake(outbox, 0) != kb_outbox_wake(outbox, 1));
	struct kb_outbox_totals totals = kb_outbox_totals(outbox);
	CHECK(totals.accepted == accepted + 1 && totals.refused == 4 && totals.too_large == 2);
	CHECK(totals.bytes_used > accepted * 100 && totals.bytes_high <= 4096);
	kb_outbox_destroy(outbox);
	kb_outbox_destroy(NULL);
}

/* -- inbox: the consumer puts and harvests, the worker settles -- */

struct side {
	struct kb_inbox *inbox;
	struct kb_message m;
	struct kb_record *record;
};

static bool worker_ready(void *context)
{
	struct side *s = context;
	return (s->record = kb_inbox_next(s->inbox, 1, &s->m)) != NULL;
}

static void work(struct kb_inbox *inbox)
{
	struct side s = {.inbox = inbox};
	for (uint32_t i = 0; i < MESSAGES; i++) {
		s.record = kb_inbox_next(inbox, 1, &s.m);
		while (!s.record)
			if (!sleep_on(kb_inbox_worker_wake(inbox, 1), worker_ready, &s)) {
				CHECK(!"the consumer woke nobody");
				return;
			} else if (!s.record) {
				s.record = kb_inbox_next(inbox, 1, &s.m);
			}
		CHECK(is_payload_of(i, s.m.payload) && s.m.origin.tag == i);
		kb_inbox_settle(inbox, 1, s.record, i % 3 == 0 ? KB_REQUEUE : KB_DONE);
	}
}

struct consumer {
	struct kb_inbox *inbox;
	uint32_t put, harvested;
};

static bool harvest(void *context)
{
	struct consumer *c = context;
	struct kb_origin origin;
	enum kb_outcome outcome;
	if (!kb_inbox_harvest(c->inbox, 1, &origin, &outcome))
		return false;
	CHECK(origin.tag == c->harvested);
	CHECK(outcome == (c->harvested % 3 == 0 ? KB_REQUEUE : KB_DONE));
	c->harvested++;
	return true;
}

static void consume(struct kb_inbox *inbox)
{
	struct consumer c = {.inbox = inbox};
	unsigned char bytes[1024];
	while (c.harvested < MESSAGES) {
		struct kb_message m = {.payload = kb_slice(bytes, payload_of(c.put, bytes)), .origin = {.tag = c.put}};
		bool moved = c.put < MESSAGES && kb_inbox_put(inbox, 1, &m);
		c.put += moved;
		moved |= harvest(&c);
		if (!moved && !sleep_on(kb_inbox_consumer_wake(inbox), harvest, &c)) {
			CHECK(!"the worker woke nobody");
			return;
		}
	}
}

static void carries_an_inbox_and_its_outcomes(void)
{
	struct kb_inbox *inbox = kb_inbox_create(2, 16384);
	pid_t child = fork();
	if (child == 0) {
		work(inbox);
		_exit(check_failures);
	}
	consume(inbox);
	end_child(child);
	struct kb_message m;
	CHECK(kb_inbox_next(inbox, 0, &m) == NULL);
	kb_inbox_destroy(inbox);
	kb_inbox_destroy(NULL);
}

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

/* -- memory: a ring that is drained needs little of it, and goes back to that after a burst -- */

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
static void has_all_its_room_when_it_has_begun_anew(void)
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
	carries_an_outbox_between_processes();
	says_why_an_outbox_refuses();
	carries_an_inbox_and_its_outcomes();
	shows_to_the_next_reader_what_the_last_left();
	settles_all_up_to_a_cursor();
	goes_on_behind_what_was_settled();
	needs_few_pages_while_it_is_drained();
	has_all_its_room_when_it_has_begun_anew();
	gives_back_what_a_burst_has_taken();
	gives_back_no_byte_of_anything_else();
	trims_without_touching_what_is_open();
	return check_failures ? 1 : 0;
}
