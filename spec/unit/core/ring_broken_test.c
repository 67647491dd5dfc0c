/* core/ring, core/inbox and core/outbox with memory that another process has scribbled into: log lines, messages that
 * are lost or come twice, and never an access outside of the ring. */
#include "core/inbox.h"
#include "core/outbox.h"

#include <stdlib.h>
#include <sys/mman.h>
#include "check.h"
#include "core/assert.h"

enum { BYTES = 4096, PAGE = 4096 };

/* struct kb_ring, by bytes: what each side writes there. */
enum { ORIGIN = 8, HEAD = 64, RECLAIMED = 72, TOUCHED = 88, HARVESTING = 96, TAIL = 128, HEAD_SEEN = 136, DATA = 192 };

static int lines;

static void count_line(enum kb_log_level level, const char *line)
{
	(void)level, (void)line;
	lines++;
}

static unsigned char *memory;

/* A ring that ends where no process may read. */
static struct kb_ring *guarded_ring(void)
{
	size_t size = kb_ring_footprint(BYTES), whole = (size + PAGE - 1) / PAGE * PAGE;
	unsigned char *pages = mmap(NULL, whole + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(mprotect(pages + whole, PAGE, PROT_NONE) == 0);
	memory = pages + whole - size;
	return kb_ring_init(memory, BYTES);
}

static void release(void)
{
	size_t size = kb_ring_footprint(BYTES), whole = (size + PAGE - 1) / PAGE * PAGE;
	munmap(memory + size - whole, whole + PAGE);
}

static void scribble(size_t at, uint64_t value)
{
	memcpy(memory + at, &value, sizeof value);
}

static bool write_number(struct kb_ring *ring, uint32_t number)
{
	void *to = kb_ring_reserve(ring, sizeof number);
	if (!to)
		return false;
	memcpy(to, &number, sizeof number);
	kb_ring_commit(ring);
	return true;
}

static bool is_number(const struct kb_record *record, uint32_t number)
{
	return record && record->size == sizeof number && memcmp(record->data, &number, sizeof number) == 0;
}

/* Not of lines: each place writes one a second. */
static uint64_t failures;

static bool all_was_well(void)
{
	return kb_assert_count() == failures;
}

static void expect_a_failure(void)
{
	CHECK(!all_was_well());
	failures = kb_assert_count();
}

/* -- what the writer wrote, as the reader finds it -- */

/* The first of three messages stays; the second, whose size is broken, and the third are lost; the next one arrives. */
static void loses_what_is_behind_a_record_of_size(uint32_t size, uint16_t kind)
{
	struct kb_ring *ring = guarded_ring();
	uint64_t cursor = kb_ring_cursor(ring);
	for (uint32_t i = 0; i < 3; i++)
		write_number(ring, i);
	struct kb_record *first = kb_ring_next(ring, &cursor);
	struct kb_record *second = (void *)(memory + DATA + 16);
	second->size = size;
	second->kind = kind;
	CHECK(kb_ring_next(ring, &cursor) == NULL);
	expect_a_failure();
	CHECK(is_number(first, 0) && !kb_ring_empty(ring));
	kb_ring_settle(ring, first, KB_DONE);
	CHECK(kb_ring_empty(ring) && !kb_ring_has_next(ring, cursor));
	write_number(ring, 3);
	CHECK(is_number(kb_ring_next(ring, &cursor), 3));
	release();
}

static void loses_what_is_behind_a_broken_record(void)
{
	loses_what_is_behind_a_record_of_size(UINT32_MAX, 0);
	loses_what_is_behind_a_record_of_size(BYTES, 0);
	loses_what_is_behind_a_record_of_size(25, 0); /* goes one byte beyond the head */
	loses_what_is_behind_a_record_of_size(4, 7);
}

/* When the first of all is broken, no settling is to come that could move the tail. */
static void goes_on_behind_a_broken_record_that_is_the_first(void)
{
	struct kb_ring *ring = guarded_ring();
	uint64_t cursor = kb_ring_cursor(ring);
	write_number(ring, 0);
	scribble(DATA, UINT32_MAX);
	CHECK(kb_ring_next(ring, &cursor) == NULL);
	expect_a_failure();
	CHECK(kb_ring_empty(ring));
	kb_ring_reclaim(ring);
	for (uint32_t i = 1; i < 1000; i++) {
		CHECK(write_number(ring, i));
		struct kb_record *record = kb_ring_next(ring, &cursor);
		CHECK(is_number(record, i));
		kb_ring_settle(ring, record, KB_DONE);
		kb_ring_reclaim(ring);
	}
	release();
}

static void reads_nothing_at_a_head_that_cannot_be(void)
{
	struct kb_ring *ring = guarded_ring();
	uint64_t cursor = kb_ring_cursor(ring);
	scribble(HEAD, 1u << 20);
	CHECK(kb_ring_next(ring, &cursor) == NULL && cursor == 0);
	expect_a_failure();
	CHECK(!kb_ring_has_next(ring, cursor)); /* a reader must not stay awake for it */
	CHECK(kb_ring_used(ring) <= BYTES);
	CHECK(kb_ring_reserve(ring, 4) == NULL);
	expect_a_failure();
	release();
}

/* -- what the reader wrote, as the writer finds it -- */

static void reclaims_nothing_at_a_tail_that_cannot_be(void)
{
	struct kb_ring *ring = guarded_ring();
	for (uint32_t i = 0; write_number(ring, i); i++)
		;
	scribble(TAIL, 1u << 20);
	kb_ring_reclaim(ring);
	expect_a_failure();
	CHECK(kb_ring_harvest(ring) == NULL);
	expect_a_failure();
	CHECK(kb_ring_reserve(ring, 4) == NULL);
	release();
}

static void harvests_nothing_behind_a_broken_record(void)
{
	struct kb_ring *ring = guarded_ring();
	uint64_t cursor = kb_ring_cursor(ring);
	for (uint32_t i = 0; i < 3; i++) {
		write_number(ring, i);
		kb_ring_settle(ring, kb_ring_next(ring, &cursor), KB_DONE);
	}
	scribble(DATA + 16, UINT32_MAX);
	CHECK(is_number(kb_ring_harvest(ring), 0));
	CHECK(all_was_well());
	CHECK(kb_ring_harvest(ring) == NULL);
	expect_a_failure();
	write_number(ring, 3);
	kb_ring_settle(ring, kb_ring_next(ring, &cursor), KB_DONE);
	CHECK(is_number(kb_ring_harvest(ring), 3));
	release();
}

/* -- callers that are wrong -- */

static void settles_no_record_twice_and_none_of_another_ring(void)
{
	struct kb_ring *ring = guarded_ring();
	uint64_t cursor = kb_ring_cursor(ring);
	struct kb_record strange = {.size = 4};
	write_number(ring, 0);
	write_number(ring, 1);
	kb_ring_next(ring, &cursor);
	struct kb_record *second = kb_ring_next(ring, &cursor);
	kb_ring_settle(ring, second, KB_DONE);
	CHECK(all_was_well());
	kb_ring_settle(ring, second, KB_REJECTED);
	expect_a_failure();
	CHECK(second->outcome == KB_DONE);
	kb_ring_settle(ring, &strange, KB_DONE);
	expect_a_failure();
	CHECK(strange.outcome == KB_PENDING);
	kb_ring_settle_up_to(ring, cursor + 8);
	expect_a_failure();
	CHECK(kb_ring_used(ring) == 32);
	release();
}

/* -- anything anywhere, in a ring that is in use -- */

static uint64_t next_random(void)
{
	static uint64_t state = 1;
	state = state * 6364136223846793005u + 1442695040888963407u;
	return state >> 24;
}

static void scribble_somewhere(void)
{
	static const size_t places[] = {ORIGIN, HEAD, RECLAIMED, TOUCHED, HARVESTING, TAIL, HEAD_SEEN};
	size_t place = places[next_random() % (sizeof places / sizeof places[0])];
	if (next_random() % 2)
		scribble(DATA + next_random() % (BYTES / 8) * 8, next_random() << (next_random() % 40));
	else if (place == HARVESTING)
		memory[place] = next_random() % 2;
	else
		scribble(place, next_random() << (next_random() % 40));
}

static void check_inside(const struct kb_record *record)
{
	const unsigned char *from = (const unsigned char *)record;
	if (record)
		CHECK(from >= memory + DATA && from + sizeof *record + record->size <= memory + DATA + BYTES);
}

static void use(struct kb_ring *ring, uint64_t *cursor)
{
	size_t size = next_random() % 300;
	unsigned char *to = kb_ring_reserve(ring, size);
	CHECK(!to || (to >= memory + DATA && to + size <= memory + DATA + BYTES));
	if (to) {
		memset(to, 0, size);
		kb_ring_commit(ring);
	}
	struct kb_record *record = kb_ring_next(ring, cursor);
	check_inside(record);
	if (record && next_random() % 4)
		kb_ring_settle(ring, record, KB_DONE);
	else if (next_random() % 8 == 0)
		kb_ring_settle_up_to(ring, *cursor);
	check_inside(kb_ring_harvest(ring));
	if (next_random() % 8 == 0)
		kb_ring_trim(ring);
	if (next_random() % 64 == 0)
		*cursor = kb_ring_cursor(ring);
}

static void stays_inside_whatever_is_written(void)
{
	for (int round = 0; round < 2000; round++) {
		struct kb_ring *ring = guarded_ring();
		uint64_t cursor = kb_ring_cursor(ring);
		for (int i = 0; i < 100; i++) {
			use(ring, &cursor);
			if (i % 10 == 9)
				scribble_somewhere();
		}
		release();
	}
	expect_a_failure();
}

/* -- lanes: a record that is no message, an outcome that is none -- */

static struct kb_message message(uint64_t tag)
{
	return (struct kb_message){.payload = KB_SLICE_LITERAL("payload"), .origin.tag = tag};
}

static void rejects_a_record_that_is_no_message(void)
{
	struct kb_inbox *inbox = kb_inbox_create(1, (struct kb_inbox_size){BYTES, 0});
	struct kb_message first, m;
	for (uint64_t tag = 1; tag <= 3; tag++)
		CHECK(kb_inbox_put(inbox, 0, &(struct kb_message){.origin.tag = tag}));
	struct kb_record *record = kb_inbox_next(inbox, 0, &first);
	memset((unsigned char *)record + 56 + 8 + 24, 0xff, 24); /* the lengths in the second */
	m.origin.tag = 0;
	struct kb_record *third = kb_inbox_next(inbox, 0, &m);
	CHECK(third && m.origin.tag == 3);
	expect_a_failure();
	kb_inbox_settle(inbox, 0, record, KB_DONE);
	kb_inbox_settle(inbox, 0, third, KB_DONE);
	struct kb_origin origin = {0};
	enum kb_outcome outcome = KB_PENDING;
	CHECK(kb_inbox_harvest(inbox, 0, &origin, &outcome) && origin.tag == 1);
	CHECK(kb_inbox_harvest(inbox, 0, &origin, &outcome) && origin.tag == 3);
	expect_a_failure();
	CHECK(!kb_inbox_harvest(inbox, 0, &origin, &outcome));
	kb_inbox_destroy(inbox);
}

static void requeues_a_message_whose_outcome_is_none(void)
{
	struct kb_inbox *inbox = kb_inbox_create(1, (struct kb_inbox_size){BYTES, 0});
	struct kb_message m = message(1);
	CHECK(kb_inbox_put(inbox, 0, &m));
	struct kb_record *record = kb_inbox_next(inbox, 0, &m);
	kb_inbox_settle(inbox, 0, record, KB_DONE);
	record->outcome = 77;
	struct kb_origin origin;
	enum kb_outcome outcome;
	CHECK(kb_inbox_harvest(inbox, 0, &origin, &outcome) && outcome == KB_REQUEUE);
	expect_a_failure();
	kb_inbox_destroy(inbox);
}

static void awaits_no_outcome_that_is_none(void)
{
	struct kb_outbox *outbox = kb_outbox_create(1, BYTES, 1);
	struct kb_message m = message(0);
	CHECK(kb_outbox_put(outbox, 0, &m) == KB_OUTBOX_ACCEPTED);
	struct kb_ring *ring = kb_outbox_ring(outbox, 0);
	uint64_t cursor = kb_ring_cursor(ring);
	kb_ring_next(ring, &cursor)->outcome = 77;
	CHECK(kb_outbox_await(outbox, 0, 10) == KB_REJECTED);
	expect_a_failure();
	kb_outbox_destroy(outbox);
}

int main(void)
{
	kb_assert_set_aborts(false);
	kb_log_set_sink(count_line);
	loses_what_is_behind_a_broken_record();
	goes_on_behind_a_broken_record_that_is_the_first();
	reads_nothing_at_a_head_that_cannot_be();
	reclaims_nothing_at_a_tail_that_cannot_be();
	harvests_nothing_behind_a_broken_record();
	settles_no_record_twice_and_none_of_another_ring();
	stays_inside_whatever_is_written();
	rejects_a_record_that_is_no_message();
	requeues_a_message_whose_outcome_is_none();
	awaits_no_outcome_that_is_none();
	CHECK(lines > 10 && (uint64_t)lines < kb_assert_count());
	return check_failures ? 1 : 0;
}
