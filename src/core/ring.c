#include "core/ring.h"

#include <sys/mman.h>
#include <unistd.h>

#include "core/assert.h"

enum { CACHE_LINE = 64, ALIGNMENT = 8, KIND_DATA = 0, KIND_PADDING = 1 };
enum {
	SHORT_LAP = 256 << 10, /* bytes after which an empty ring starts over */
	KEPT = 1 << 20,        /* bytes that kb_ring_trim() leaves */
	TRIMMED = 256 << 10    /* bytes that it gives back in one call */
};

/* Each side writes to a cache line of its own and keeps there its last sight of the other side's position. The capacity
 * is set before any fork; all else may be changed by a process that goes wrong, so each side checks positions, sizes
 * and kinds before it uses them. */
struct kb_ring {
	_Alignas(CACHE_LINE) uint64_t capacity; /* a power of two */
	uint64_t origin; /* the position that lies at bytes[0]; the writer changes it, seldom, while the ring is empty */

	_Alignas(CACHE_LINE) _Atomic uint64_t head; /* the writer's line */
	_Atomic uint64_t reclaimed;
	uint64_t reserved_end;
	uint64_t touched; /* bytes from the first that may have pages */
	bool harvesting;  /* the record at `reclaimed` was handed out and is to be reclaimed */

	_Alignas(CACHE_LINE) _Atomic uint64_t tail; /* the reader's line */
	uint64_t head_seen;

	_Alignas(CACHE_LINE) unsigned char bytes[];
};

static uint64_t rounded_capacity(size_t capacity)
{
	uint64_t rounded = 4096;
	while (rounded < capacity)
		rounded *= 2;
	return rounded;
}

static uint64_t span_of(size_t size)
{
	return (sizeof(struct kb_record) + size + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
}

/* Aligned, whatever the position: the header of a record fits there. */
static uint64_t offset_of(const struct kb_ring *ring, uint64_t position)
{
	return (position - ring->origin) & (ring->capacity - ALIGNMENT);
}

static struct kb_record *record_at(const struct kb_ring *ring, uint64_t position)
{
	return (struct kb_record *)(uintptr_t)(ring->bytes + offset_of(ring, position));
}

/* Bytes of the record at `at`, its header included; 0 when that cannot be a record that ends at or before `end`. */
static uint64_t span_at(const struct kb_ring *ring, uint64_t at, uint64_t end)
{
	const struct kb_record *record = record_at(ring, at);
	uint64_t span = span_of(record->size), to_end = ring->capacity - offset_of(ring, at);
	bool fits = span <= end - at && end - at <= ring->capacity && span <= to_end;
	return fits && record->kind <= KIND_PADDING ? span : 0;
}

size_t kb_ring_footprint(size_t capacity)
{
	return sizeof(struct kb_ring) + rounded_capacity(capacity);
}

struct kb_ring *kb_ring_init(void *memory, size_t capacity)
{
	struct kb_ring *ring = memory;
	memset(ring, 0, sizeof *ring);
	ring->capacity = rounded_capacity(capacity);
	return ring;
}

size_t kb_ring_record_max(const struct kb_ring *ring)
{
	return ring->capacity / 2 - sizeof(struct kb_record);
}

static uint64_t free_bytes(const struct kb_ring *ring, uint64_t head)
{
	uint64_t used = head - atomic_load_explicit(&ring->reclaimed, memory_order_relaxed);
	return kb_fails(used <= ring->capacity) ? 0 : ring->capacity - used;
}

static void write_header(struct kb_record *record, uint16_t kind, size_t size)
{
	record->size = (uint32_t)size;
	record->kind = kind;
	atomic_store_explicit(&record->outcome, KB_PENDING, memory_order_relaxed);
}

static bool all_reclaimed(const struct kb_ring *ring, uint64_t head)
{
	return atomic_load_explicit(&ring->reclaimed, memory_order_relaxed) == head;
}

/* Positions only grow, so a ring would take pages for all of its bytes however little is in it. The reader looks at the
 * origin only with a record before it, and has none until it sees the next head. */
static void start_over(struct kb_ring *ring, uint64_t head)
{
	if (offset_of(ring, head) >= SHORT_LAP && all_reclaimed(ring, head))
		ring->origin = head;
}

static void note_touched(struct kb_ring *ring, uint64_t end)
{
	if (end > ring->touched)
		ring->touched = end;
}

void *kb_ring_reserve(struct kb_ring *ring, size_t size)
{
	if (size > kb_ring_record_max(ring))
		return NULL;
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint64_t span = span_of(size);
	start_over(ring, head);
	uint64_t to_end = ring->capacity - offset_of(ring, head);
	uint64_t padding = span > to_end ? to_end : 0; /* a record never wraps: the rest of the lap is skipped */
	if (padding + span > free_bytes(ring, head))
		return NULL;
	if (padding)
		write_header(record_at(ring, head), KIND_PADDING, padding - sizeof(struct kb_record));
	struct kb_record *record = record_at(ring, head + padding);
	write_header(record, KIND_DATA, size);
	note_touched(ring, padding ? ring->capacity : offset_of(ring, head) + span);
	ring->reserved_end = head + padding + span;
	return record->data;
}

void kb_ring_commit(struct kb_ring *ring)
{
	kb_require(ring->reserved_end - atomic_load_explicit(&ring->head, memory_order_relaxed) - 1 < ring->capacity);
	atomic_store_explicit(&ring->head, ring->reserved_end, memory_order_release);
}

/* What the reader has settled; nothing more than is reclaimed when its position cannot be right. */
static uint64_t settled_position(const struct kb_ring *ring)
{
	uint64_t reclaimed = atomic_load_explicit(&ring->reclaimed, memory_order_relaxed);
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
	return kb_fails(tail - reclaimed <= head - reclaimed) ? reclaimed : tail;
}

/* The position behind the record at `at`. Behind one that is broken nothing is known before `end`. */
static uint64_t behind(const struct kb_ring *ring, uint64_t at, uint64_t end)
{
	uint64_t span = span_at(ring, at, end);
	return kb_fails(span != 0) ? end : at + span;
}

struct kb_record *kb_ring_harvest(struct kb_ring *ring)
{
	uint64_t at = atomic_load_explicit(&ring->reclaimed, memory_order_relaxed), tail = settled_position(ring);
	if (ring->harvesting && at != tail)
		at = behind(ring, at, tail);
	if (at != tail && record_at(ring, at)->kind == KIND_PADDING)
		at = behind(ring, at, tail);
	if (at != tail && kb_fails(span_at(ring, at, tail) != 0))
		at = tail;
	atomic_store_explicit(&ring->reclaimed, at, memory_order_relaxed);
	ring->harvesting = at != tail;
	return ring->harvesting ? record_at(ring, at) : NULL;
}

void kb_ring_reclaim(struct kb_ring *ring)
{
	atomic_store_explicit(&ring->reclaimed, settled_position(ring), memory_order_relaxed);
	ring->harvesting = false;
}

size_t kb_ring_held(const struct kb_ring *ring)
{
	return ring->capacity - free_bytes(ring, atomic_load_explicit(&ring->head, memory_order_relaxed));
}

uint64_t kb_ring_written(const struct kb_ring *ring)
{
	return atomic_load_explicit(&ring->head, memory_order_acquire);
}

bool kb_ring_spread(const struct kb_ring *ring)
{
	return ring->touched > KEPT || offset_of(ring, ring->reserved_end) >= SHORT_LAP;
}

/* Of whole pages only: the first and the last of the ring may belong to something else, too. Memory that cannot be
 * given back is only kept. */
void kb_ring_trim(struct kb_ring *ring)
{
	if (ring->touched <= KEPT || !all_reclaimed(ring, atomic_load_explicit(&ring->head, memory_order_relaxed)))
		return;
	if (kb_fails(ring->touched <= ring->capacity))
		ring->touched = ring->capacity;
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), bytes = (uintptr_t)ring->bytes;
	uintptr_t last = (bytes + ring->capacity) & ~(page - 1), end = (bytes + ring->touched + page - 1) & ~(page - 1);
	ring->touched -= ring->touched - KEPT < TRIMMED ? ring->touched - KEPT : TRIMMED;
	uintptr_t start = (bytes + ring->touched + page - 1) & ~(page - 1);
	end = end < last ? end : last;
	if (start < end)
		(void)madvise((void *)start, end - start, MADV_REMOVE);
}

size_t kb_ring_used(const struct kb_ring *ring)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire); /* first: it never passes the head */
	uint64_t used = atomic_load_explicit(&ring->head, memory_order_acquire) - tail;
	return used < ring->capacity ? used : ring->capacity;
}

uint64_t kb_ring_cursor(const struct kb_ring *ring)
{
	return atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

/* The head, as the end of what the reader gives up; `tail` when that cannot be right either. */
static uint64_t all_seen(struct kb_ring *ring, uint64_t tail)
{
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
	ring->head_seen = kb_fails(head - tail <= ring->capacity) ? tail : head;
	return ring->head_seen;
}

/* Padding counts as settled only behind a record that is: the tail must not pass the reader's cursor. Nothing behind a
 * broken record can be found, so all of it counts as settled. */
static uint64_t settled_end(struct kb_ring *ring, uint64_t tail)
{
	uint64_t at = tail;
	while (at < ring->head_seen) {
		const struct kb_record *record = record_at(ring, at);
		uint64_t span = span_at(ring, at, ring->head_seen);
		if (kb_fails(span != 0))
			return all_seen(ring, tail);
		at += span;
		if (record->kind == KIND_PADDING)
			continue;
		if (atomic_load_explicit(&record->outcome, memory_order_relaxed) == KB_PENDING)
			break;
		tail = at;
	}
	return tail;
}

static void settle_from(struct kb_ring *ring, uint64_t from)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed), settled = settled_end(ring, from);
	if (settled != tail)
		atomic_store_explicit(&ring->tail, settled, memory_order_release);
}

/* Whether there is something at the cursor, by the writer's position of now. A cursor that cannot be right goes back to
 * what is not settled. */
static bool has_more(struct kb_ring *ring, uint64_t *cursor)
{
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
	if (kb_fails(head - *cursor <= ring->capacity)) {
		*cursor = atomic_load_explicit(&ring->tail, memory_order_relaxed);
		return false;
	}
	ring->head_seen = head;
	return *cursor != head;
}

struct kb_record *kb_ring_next(struct kb_ring *ring, uint64_t *cursor)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	if (*cursor < tail) /* the reader went back to some that are settled: their bytes may be the writer's again */
		*cursor = tail;
	for (;;) {
		if (*cursor >= ring->head_seen && !has_more(ring, cursor))
			return NULL;
		struct kb_record *record = record_at(ring, *cursor);
		uint64_t span = span_at(ring, *cursor, ring->head_seen);
		if (kb_fails(span != 0)) {
			*cursor = all_seen(ring, tail);
			settle_from(ring, tail);
			return NULL;
		}
		*cursor += span;
		if (record->kind == KIND_DATA && atomic_load_explicit(&record->outcome, memory_order_relaxed) == KB_PENDING)
			return record;
	}
}

bool kb_ring_has_next(const struct kb_ring *ring, uint64_t cursor)
{
	uint64_t ahead = atomic_load_explicit(&ring->head, memory_order_acquire) - cursor;
	return ahead != 0 && ahead <= ring->capacity;
}

/* Whether the reader may still have the record: it starts between the tail and the head. */
static bool is_open(const struct kb_ring *ring, const struct kb_record *record)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint64_t offset = (uint64_t)((const unsigned char *)record - ring->bytes);
	return offset < ring->capacity &&
		   ((offset - offset_of(ring, tail)) & (ring->capacity - 1)) < ring->head_seen - tail;
}

void kb_ring_settle(struct kb_ring *ring, struct kb_record *record, enum kb_outcome outcome)
{
	if (kb_fails(is_open(ring, record)))
		return;
	if (kb_fails(atomic_load_explicit(&record->outcome, memory_order_relaxed) == KB_PENDING))
		return;
	atomic_store_explicit(&record->outcome, (uint16_t)outcome, memory_order_relaxed);
	settle_from(ring, atomic_load_explicit(&ring->tail, memory_order_relaxed));
}

void kb_ring_settle_up_to(struct kb_ring *ring, uint64_t cursor)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	if (kb_fails(cursor - tail - 1 < ring->head_seen - tail))
		return;
	settle_from(ring, cursor);
}

bool kb_ring_empty(const struct kb_ring *ring)
{
	return atomic_load_explicit(&ring->tail, memory_order_acquire) ==
		   atomic_load_explicit(&ring->head, memory_order_acquire);
}
