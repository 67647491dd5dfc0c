#include "core/outbox.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/clock.h"

struct writer {
	_Alignas(64) _Atomic uint64_t accepted;
	_Atomic uint64_t refused, too_large, bytes_high;
	_Atomic uint32_t waiting; /* the futex of a writer that waits for an outcome: 1 while it may sleep */
};

struct reader {
	_Alignas(64) struct kb_wake wake;
	_Atomic uint32_t waiters; /* writers that wait for outcomes */
};

/* Each process has a copy of this from the fork: what others write cannot change where it looks. */
struct kb_outbox {
	size_t n_writers, n_readers, ring_bytes, total_bytes;
	struct writer *writers; /* the start of the shared memory */
	struct reader *readers;
	char *rings;
	const struct kb_record *last[]; /* of the last put of writer i, in the process of that writer */
};

static struct writer *writer_of(const struct kb_outbox *outbox, size_t writer)
{
	kb_require(writer < outbox->n_writers);
	return &outbox->writers[writer];
}

static struct reader *reader_of(const struct kb_outbox *outbox, size_t reader)
{
	kb_require(reader < outbox->n_readers);
	return &outbox->readers[reader];
}

static size_t aligned(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static bool init_wakes(struct kb_outbox *outbox)
{
	for (size_t i = 0; i < outbox->n_readers; i++)
		if (kb_wake_init(&outbox->readers[i].wake) < 0)
			return false;
	return true;
}

static bool map(struct kb_outbox *outbox, size_t bytes)
{
	size_t writers = outbox->n_writers * sizeof(struct writer), readers = outbox->n_readers * sizeof(struct reader);
	outbox->ring_bytes = aligned(kb_ring_footprint(bytes));
	outbox->total_bytes = writers + readers + outbox->n_writers * outbox->ring_bytes;
	char *memory =
		mmap(NULL, outbox->total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return false;
	outbox->writers = (void *)memory;
	outbox->readers = (void *)(memory + writers);
	outbox->rings = memory + writers + readers;
	for (size_t i = 0; i < outbox->n_writers; i++)
		kb_ring_init(kb_outbox_ring(outbox, i), bytes);
	if (init_wakes(outbox))
		return true;
	munmap(memory, outbox->total_bytes);
	return false;
}

struct kb_outbox *kb_outbox_create(size_t writers, size_t bytes, size_t readers)
{
	struct kb_outbox *outbox = calloc(1, sizeof *outbox + writers * sizeof outbox->last[0]);
	if (!outbox)
		return NULL;
	outbox->n_writers = writers;
	outbox->n_readers = readers;
	if (map(outbox, bytes))
		return outbox;
	free(outbox);
	return NULL;
}

void kb_outbox_destroy(struct kb_outbox *outbox)
{
	if (!outbox)
		return;
	for (size_t i = 0; i < outbox->n_readers; i++)
		kb_wake_close(&outbox->readers[i].wake);
	munmap(outbox->writers, outbox->total_bytes);
	free(outbox);
}

static void bump(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* Reclaims only when that is of use: the reader's position lies on a cache line that it keeps changing. */
static void *reserve(struct kb_ring *ring, size_t size)
{
	if (kb_ring_spread(ring)) {
		kb_ring_reclaim(ring);
		kb_ring_trim(ring);
	}
	void *to = kb_ring_reserve(ring, size);
	if (to)
		return to;
	kb_ring_reclaim(ring);
	return kb_ring_reserve(ring, size);
}

static void note_level(struct writer *w, const struct kb_ring *ring)
{
	uint64_t used = kb_ring_used(ring);
	if (used > atomic_load_explicit(&w->bytes_high, memory_order_relaxed))
		atomic_store_explicit(&w->bytes_high, used, memory_order_relaxed);
}

static enum kb_outbox_result refuse(struct writer *w, const struct kb_ring *ring, size_t size)
{
	bump(&w->refused);
	if (size <= kb_ring_record_max(ring))
		return KB_OUTBOX_FULL;
	bump(&w->too_large);
	return KB_OUTBOX_TOO_LARGE;
}

enum kb_outbox_result kb_outbox_room(struct kb_outbox *outbox, size_t writer, const struct kb_message *m)
{
	struct kb_ring *ring = kb_outbox_ring(outbox, writer);
	size_t size = kb_message_size(m);
	return reserve(ring, size) ? KB_OUTBOX_ACCEPTED : refuse(writer_of(outbox, writer), ring, size);
}

enum kb_outbox_result kb_outbox_put(struct kb_outbox *outbox, size_t writer, const struct kb_message *m)
{
	struct kb_ring *ring = kb_outbox_ring(outbox, writer);
	struct writer *w = writer_of(outbox, writer);
	size_t size = kb_message_size(m);
	void *to = reserve(ring, size);
	if (!to)
		return refuse(w, ring, size);
	kb_message_encode(m, to);
	kb_ring_commit(ring);
	outbox->last[writer] = (void *)((char *)to - offsetof(struct kb_record, data));
	bump(&w->accepted);
	note_level(w, ring);
	kb_wake_signal(kb_outbox_wake(outbox, writer % outbox->n_readers));
	return KB_OUTBOX_ACCEPTED;
}

/* The record stays in place until its writer, which is us, puts the next one. */
static enum kb_outcome outcome_of(const struct kb_record *record)
{
	unsigned outcome = atomic_load(&record->outcome);
	return kb_fails(outcome <= KB_REQUEUE) ? KB_REJECTED : (enum kb_outcome)outcome;
}

static enum kb_outcome sleep_for_outcome(struct writer *w, const struct kb_record *record, int64_t deadline)
{
	for (;;) {
		atomic_store(&w->waiting, 1);
		atomic_thread_fence(memory_order_seq_cst);
		enum kb_outcome outcome = outcome_of(record);
		int64_t now = kb_clock_ms();
		if (outcome != KB_PENDING || now >= deadline)
			return outcome;
		struct timespec left = {(time_t)((deadline - now) / 1000), (long)((deadline - now) % 1000) * 1000000};
		syscall(SYS_futex, &w->waiting, FUTEX_WAIT, 1, &left, NULL, 0);
	}
}

enum kb_outcome kb_outbox_await(struct kb_outbox *outbox, size_t writer, unsigned timeout_ms)
{
	struct writer *w = writer_of(outbox, writer);
	struct reader *r = reader_of(outbox, writer % outbox->n_readers);
	kb_require(outbox->last[writer] != NULL);
	atomic_fetch_add(&r->waiters, 1);
	enum kb_outcome outcome = sleep_for_outcome(w, outbox->last[writer], kb_clock_deadline_ms(timeout_ms));
	atomic_store(&w->waiting, 0);
	atomic_fetch_sub(&r->waiters, 1);
	return outcome;
}

void kb_outbox_wake_writers(struct kb_outbox *outbox, size_t reader)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&reader_of(outbox, reader)->waiters, memory_order_relaxed) == 0)
		return;
	for (size_t i = reader; i < outbox->n_writers; i += outbox->n_readers)
		if (atomic_exchange(&outbox->writers[i].waiting, 0) == 1)
			syscall(SYS_futex, &outbox->writers[i].waiting, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

size_t kb_outbox_message_max(const struct kb_outbox *outbox)
{
	return kb_ring_record_max((const struct kb_ring *)(const void *)outbox->rings);
}

size_t kb_outbox_writers(const struct kb_outbox *outbox)
{
	return outbox->n_writers;
}

struct kb_ring *kb_outbox_ring(struct kb_outbox *outbox, size_t writer)
{
	kb_require(writer < outbox->n_writers);
	return (void *)(outbox->rings + writer * outbox->ring_bytes);
}

struct kb_wake *kb_outbox_wake(struct kb_outbox *outbox, size_t reader)
{
	return &reader_of(outbox, reader)->wake;
}

size_t kb_outbox_readers(const struct kb_outbox *outbox)
{
	return outbox->n_readers;
}

struct kb_outbox_totals kb_outbox_totals(struct kb_outbox *outbox)
{
	struct kb_outbox_totals totals = {0};
	for (size_t i = 0; i < outbox->n_writers; i++) {
		struct writer *w = &outbox->writers[i];
		uint64_t high = atomic_load_explicit(&w->bytes_high, memory_order_relaxed);
		totals.accepted += atomic_load_explicit(&w->accepted, memory_order_relaxed);
		totals.refused += atomic_load_explicit(&w->refused, memory_order_relaxed);
		totals.too_large += atomic_load_explicit(&w->too_large, memory_order_relaxed);
		totals.bytes_used += kb_ring_used(kb_outbox_ring(outbox, i));
		totals.bytes_high = high > totals.bytes_high ? high : totals.bytes_high;
	}
	return totals;
}
