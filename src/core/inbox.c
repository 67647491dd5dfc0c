#include "core/inbox.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "core/assert.h"

struct shared {
	_Alignas(64) struct kb_wake consumer_wake;
	struct {
		_Alignas(64) struct kb_wake wake; /* of the first inbox only */
	} workers[];
};

/* Each process has a copy of this from the fork: what others write cannot change where it looks. */
struct kb_inbox {
	size_t n_workers, ring_bytes, total_bytes, bound;
	struct kb_inbox *first; /* whose wakes are signalled: itself, or the one that it lies beside */
	struct shared *shared;
	char *rings;
	uint64_t cursors[]; /* that of worker i is of use in the process of that worker only */
};

static struct kb_ring *ring_of(const struct kb_inbox *inbox, size_t worker)
{
	kb_require(worker < inbox->n_workers);
	return (void *)(inbox->rings + worker * inbox->ring_bytes);
}

static size_t aligned(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static bool init_wakes(struct kb_inbox *inbox)
{
	for (size_t i = 0; i < inbox->n_workers; i++) {
		inbox->shared->workers[i].wake.fd = -1;
		if (inbox->first == inbox && kb_wake_init(&inbox->shared->workers[i].wake) < 0)
			return false;
	}
	return kb_wake_init(&inbox->shared->consumer_wake) == 0;
}

static bool map(struct kb_inbox *inbox, size_t bytes)
{
	size_t head = sizeof(struct shared) + inbox->n_workers * sizeof inbox->shared->workers[0];
	inbox->ring_bytes = aligned(kb_ring_footprint(bytes));
	inbox->total_bytes = head + inbox->n_workers * inbox->ring_bytes;
	char *memory =
		mmap(NULL, inbox->total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return false;
	inbox->shared = (void *)memory;
	inbox->rings = memory + head;
	for (size_t i = 0; i < inbox->n_workers; i++)
		kb_ring_init(ring_of(inbox, i), bytes);
	if (init_wakes(inbox))
		return true;
	munmap(memory, inbox->total_bytes);
	return false;
}

static size_t memory_for(struct kb_inbox_size size)
{
	size_t largest = 2 * (size.largest + sizeof(struct kb_record));
	return size.largest && largest > size.bound ? largest : size.bound;
}

static struct kb_inbox *create(size_t workers, struct kb_inbox_size size, struct kb_inbox *first)
{
	struct kb_inbox *inbox = calloc(1, sizeof *inbox + workers * sizeof inbox->cursors[0]);
	if (!inbox)
		return NULL;
	inbox->n_workers = workers;
	inbox->first = first ? first : inbox;
	inbox->bound = size.bound;
	if (map(inbox, memory_for(size)) || map(inbox, size.bound))
		return inbox;
	free(inbox);
	return NULL;
}

struct kb_inbox *kb_inbox_create(size_t workers, struct kb_inbox_size size)
{
	return create(workers, size, NULL);
}

struct kb_inbox *kb_inbox_create_beside(struct kb_inbox *first, struct kb_inbox_size size)
{
	return create(first->n_workers, size, first);
}

void kb_inbox_destroy(struct kb_inbox *inbox)
{
	if (!inbox)
		return;
	for (size_t i = 0; i < inbox->n_workers; i++)
		kb_wake_close(&inbox->shared->workers[i].wake);
	kb_wake_close(&inbox->shared->consumer_wake);
	munmap(inbox->shared, inbox->total_bytes);
	free(inbox);
}

size_t kb_inbox_workers(const struct kb_inbox *inbox)
{
	return inbox->n_workers;
}

bool kb_inbox_put(struct kb_inbox *inbox, size_t worker, const struct kb_message *m)
{
	struct kb_ring *ring = ring_of(inbox, worker);
	size_t size = kb_message_size(m), held = kb_ring_held(ring);
	void *to = held && held + size > inbox->bound ? NULL : kb_ring_reserve(ring, size);
	if (!to)
		return false;
	kb_message_encode(m, to);
	kb_ring_commit(ring);
	kb_wake_signal(kb_inbox_worker_wake(inbox, worker));
	return true;
}

size_t kb_inbox_message_max(const struct kb_inbox *inbox)
{
	return kb_ring_record_max((const struct kb_ring *)(const void *)inbox->rings);
}

/* A broken outcome makes the broker deliver the message again. */
static enum kb_outcome outcome_of(const struct kb_record *record)
{
	unsigned outcome = atomic_load_explicit(&record->outcome, memory_order_relaxed);
	return kb_fails(outcome != KB_PENDING && outcome <= KB_REQUEUE) ? KB_REQUEUE : (enum kb_outcome)outcome;
}

bool kb_inbox_harvest(struct kb_inbox *inbox, size_t worker, struct kb_origin *origin, enum kb_outcome *outcome)
{
	struct kb_ring *ring = ring_of(inbox, worker);
	struct kb_record *record;
	while ((record = kb_ring_harvest(ring))) {
		struct kb_message m;
		if (kb_fails(kb_message_decode(record->data, record->size, &m)))
			continue;
		*origin = m.origin;
		*outcome = outcome_of(record);
		return true;
	}
	kb_ring_trim(ring);
	return false;
}

struct kb_wake *kb_inbox_consumer_wake(struct kb_inbox *inbox)
{
	return &inbox->shared->consumer_wake;
}

struct kb_record *kb_inbox_next(struct kb_inbox *inbox, size_t worker, struct kb_message *m)
{
	struct kb_ring *ring = ring_of(inbox, worker);
	struct kb_record *record;
	while ((record = kb_ring_next(ring, &inbox->cursors[worker]))) {
		if (!kb_fails(kb_message_decode(record->data, record->size, m)))
			return record;
		kb_inbox_settle(inbox, worker, record, KB_REJECTED);
	}
	return NULL;
}

bool kb_inbox_has_next(struct kb_inbox *inbox, size_t worker)
{
	return kb_ring_has_next(ring_of(inbox, worker), inbox->cursors[worker]);
}

void kb_inbox_settle(struct kb_inbox *inbox, size_t worker, struct kb_record *record, enum kb_outcome outcome)
{
	kb_ring_settle(ring_of(inbox, worker), record, outcome);
	kb_wake_signal(&inbox->shared->consumer_wake);
}

struct kb_wake *kb_inbox_worker_wake(struct kb_inbox *inbox, size_t worker)
{
	kb_require(worker < inbox->first->n_workers);
	return &inbox->first->shared->workers[worker].wake;
}
