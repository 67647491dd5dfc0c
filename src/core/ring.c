#include "core/ring.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CACHE_LINE = 64, ALIGNMENT = 8, KIND_DATA = 0, KIND_PADDING = 1 };
enum {
	SHORT_LAP = 256 << 10, /* bytes after which an empty ring begins anew */
	KEPT = 1 << 20,        /* bytes that kb_ring_trim() leaves */
	TRIMMED = 256 << 10    /* bytes that it gives back in one call */
};

/* Each side writes to a cache line of its own and keeps there its last sight of the other side's position. */
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

static uint64_t offset_of(const struct kb_ring *ring, uint64_t position)
{
	return (position - ring->origin) & (ring->capacity - 1);
}

static struct kb_record *record_at(const struct kb_ring *ring, uint64_t position)
{
	return (struct kb_record *)(uintptr_t)(ring->bytes + offset_of(ring, position));
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
	return ring->capacity - (head - atomic_load_explicit(&ring->reclaimed, memory_order_relaxed));
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
static void begin_anew(struct kb_ring *ring, uint64_t head)
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
	begin_anew(ring, head);
	uint64_t to_end = ring->capacity - offset_of(ring, head);
	uint64_t padding = span > to_end ? to_end : 0; /* a record never wraps: the rest of the lap is skipped */
	if (padding + span > free_bytes(ring, head))
		return NULL;
	if (padding)
		write_header(record_at(ring, head), KIND_PADDING, padding - sizeof(struct kb_record));
	struct kb_record *record = record_at(ring, head + padding);
	write_header(record, KIND_DATA, size);
	note_touched(ring, offset_of(ring, head) + span);
	ring->reserved_end = head + padding + span;
	return record->data;
}

void kb_ring_commit(struct kb_ring *ring)
{
	assert(ring->reserved_end > atomic_load_explicit(&ring->head, memory_order_relaxed));
	atomic_store_explicit(&ring->head, ring->reserved_end, memory_order_release);
}

struct kb_record *kb_ring_harvest(struct kb_ring *ring)
{
	uint64_t at = atomic_load_explicit(&ring->reclaimed, memory_order_relaxed);
	if (ring->harvesting)
		at += span_of(record_at(ring, at)->size);
	ring->harvesting = false;
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
	if (at < tail && record_at(ring, at)->kind == KIND_PADDING)
		at += span_of(record_at(ring, at)->size);
	atomic_store_explicit(&ring->reclaimed, at, memory_order_relaxed);
	if (at == tail)
		return NULL;
	ring->harvesting = true;
	return record_at(ring, at);
}

void kb_ring_reclaim(struct kb_ring *ring)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
	atomic_store_explicit(&ring->reclaimed, tail, memory_order_relaxed);
	ring->harvesting = false;
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
	return atomic_load_explicit(&ring->head, memory_order_acquire) - tail;
}

uint64_t kb_ring_cursor(const struct kb_ring *ring)
{
	return atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

struct kb_record *kb_ring_next(struct kb_ring *ring, uint64_t *cursor)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	if (*cursor < tail) /* the reader went back to some that are settled: their bytes may be the writer's again */
		*cursor = tail;
	for (;;) {
		if (*cursor == ring->head_seen) {
			ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
			if (*cursor == ring->head_seen)
				return NULL;
		}
		struct kb_record *record = record_at(ring, *cursor);
		*cursor += span_of(record->size);
		if (record->kind == KIND_DATA && atomic_load_explicit(&record->outcome, memory_order_relaxed) == KB_PENDING)
			return record;
	}
}

bool kb_ring_has_next(const struct kb_ring *ring, uint64_t cursor)
{
	return atomic_load_explicit(&ring->head, memory_order_acquire) != cursor;
}

/* Padding counts as settled only behind a record that is: the tail must not pass the reader's cursor. */
static uint64_t settled_end(const struct kb_ring *ring, uint64_t tail)
{
	uint64_t at = tail;
	while (at < ring->head_seen) {
		struct kb_record *record = record_at(ring, at);
		at += span_of(record->size);
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

void kb_ring_settle(struct kb_ring *ring, struct kb_record *record, enum kb_outcome outcome)
{
	assert(atomic_load_explicit(&record->outcome, memory_order_relaxed) == KB_PENDING);
	atomic_store_explicit(&record->outcome, (uint16_t)outcome, memory_order_relaxed);
	settle_from(ring, atomic_load_explicit(&ring->tail, memory_order_relaxed));
}

void kb_ring_settle_up_to(struct kb_ring *ring, uint64_t cursor)
{
	assert(cursor > atomic_load_explicit(&ring->tail, memory_order_relaxed) && cursor <= ring->head_seen);
	settle_from(ring, cursor);
}

bool kb_ring_empty(const struct kb_ring *ring)
{
	return atomic_load_explicit(&ring->tail, memory_order_acquire) ==
		   atomic_load_explicit(&ring->head, memory_order_acquire);
}
