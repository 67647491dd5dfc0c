#include "core/inbox.h"

#include <sys/mman.h>

struct worker {
	_Alignas(64) struct kb_wake wake; /* of the first inbox only */
	uint64_t cursor;                  /* the worker's own */
};

struct kb_inbox {
	size_t n_workers, ring_bytes, total_bytes;
	struct worker *workers;
	struct kb_inbox *first; /* whose wakes are signalled: itself, or the one that it lies beside */
	char *rings;
	_Alignas(64) struct kb_wake consumer_wake;
};

static struct kb_ring *ring_of(struct kb_inbox *inbox, size_t worker)
{
	return (void *)(inbox->rings + worker * inbox->ring_bytes);
}

static size_t aligned(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static bool init_wakes(struct kb_inbox *inbox)
{
	for (size_t i = 0; i < inbox->n_workers; i++) {
		inbox->workers[i].wake.fd = -1;
		if (inbox->first == inbox && kb_wake_init(&inbox->workers[i].wake) < 0)
			return false;
	}
	return kb_wake_init(&inbox->consumer_wake) == 0;
}

static struct kb_inbox *create(size_t workers, size_t bytes, struct kb_inbox *first)
{
	size_t head = aligned(sizeof(struct kb_inbox)), ring_bytes = aligned(kb_ring_footprint(bytes));
	size_t total = head + workers * (sizeof(struct worker) + ring_bytes);
	char *memory = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	struct kb_inbox *inbox = (void *)memory;
	inbox->first = first ? first : inbox;
	inbox->n_workers = workers;
	inbox->ring_bytes = ring_bytes;
	inbox->total_bytes = total;
	inbox->workers = (void *)(memory + head);
	inbox->rings = memory + head + workers * sizeof(struct worker);
	for (size_t i = 0; i < workers; i++)
		kb_ring_init(ring_of(inbox, i), bytes);
	if (!init_wakes(inbox)) {
		munmap(memory, total);
		return NULL;
	}
	return inbox;
}

struct kb_inbox *kb_inbox_create(size_t workers, size_t bytes)
{
	return create(workers, bytes, NULL);
}

struct kb_inbox *kb_inbox_create_beside(struct kb_inbox *first, size_t bytes)
{
	return create(first->n_workers, bytes, first);
}

void kb_inbox_destroy(struct kb_inbox *inbox)
{
	if (!inbox)
		return;
	for (size_t i = 0; i < inbox->n_workers; i++)
		kb_wake_close(&inbox->workers[i].wake);
	kb_wake_close(&inbox->consumer_wake);
	munmap(inbox, inbox->total_bytes);
}

size_t kb_inbox_workers(const struct kb_inbox *inbox)
{
	return inbox->n_workers;
}

bool kb_inbox_put(struct kb_inbox *inbox, size_t worker, const struct kb_message *m)
{
	struct kb_ring *ring = ring_of(inbox, worker);
	void *to = kb_ring_reserve(ring, kb_message_size(m));
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

bool kb_inbox_harvest(struct kb_inbox *inbox, size_t worker, struct kb_origin *origin, enum kb_outcome *outcome)
{
	struct kb_message m;
	struct kb_ring *ring = ring_of(inbox, worker);
	struct kb_record *record = kb_ring_harvest(ring);
	if (!record)
		kb_ring_trim(ring);
	if (!record || !kb_message_decode(record->data, record->size, &m))
		return false;
	*origin = m.origin;
	*outcome = (enum kb_outcome)atomic_load_explicit(&record->outcome, memory_order_relaxed);
	return true;
}

struct kb_wake *kb_inbox_consumer_wake(struct kb_inbox *inbox)
{
	return &inbox->consumer_wake;
}

struct kb_record *kb_inbox_next(struct kb_inbox *inbox, size_t worker, struct kb_message *m)
{
	struct kb_record *record = kb_ring_next(ring_of(inbox, worker), &inbox->workers[worker].cursor);
	return record && kb_message_decode(record->data, record->size, m) ? record : NULL;
}

bool kb_inbox_has_next(struct kb_inbox *inbox, size_t worker)
{
	return kb_ring_has_next(ring_of(inbox, worker), inbox->workers[worker].cursor);
}

void kb_inbox_settle(struct kb_inbox *inbox, size_t worker, struct kb_record *record, enum kb_outcome outcome)
{
	kb_ring_settle(ring_of(inbox, worker), record, outcome);
	kb_wake_signal(&inbox->consumer_wake);
}

struct kb_wake *kb_inbox_worker_wake(struct kb_inbox *inbox, size_t worker)
{
	return &inbox->first->workers[worker].wake;
}
