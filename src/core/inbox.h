/*
 * Deliveries on their way to the workers: one ring for each worker, written by the consumer process.
 * Each process that writes to the workers has an inbox of its own; those made beside the first wake the same workers.
 *
 * The worker settles a message when its route has run; the consumer harvests the outcomes and acknowledges
 * those to the broker that want it. A worker that dies in between leaves its message unacknowledged.
 */
#ifndef KB_CORE_INBOX_H
#define KB_CORE_INBOX_H

#include "core/message.h"
#include "core/ring.h"
#include "core/wake.h"

struct kb_inbox;

/* What a ring takes. Its memory is twice the largest message, or the bound when that is more, rounded up to a power of
 * two; pages are taken as they are used. */
struct kb_inbox_size {
	size_t bound;   /* bytes that may wait for one worker */
	size_t largest; /* bytes of a message that is taken all the same when nothing waits; 0: half of the bound */
};

/* Shared memory for `workers` rings. Call before any fork. Where the system grants no memory for the largest message
 * (it may count memory that is only reserved), the rings have the bound alone: see kb_inbox_message_max(). NULL and
 * errno on failure. */
struct kb_inbox *kb_inbox_create(size_t workers, struct kb_inbox_size size);

/* Another inbox to the workers of `first`, which must outlive it. */
struct kb_inbox *kb_inbox_create_beside(struct kb_inbox *first, struct kb_inbox_size size);
void kb_inbox_destroy(struct kb_inbox *inbox); /* NULL is fine; the owner process only */
size_t kb_inbox_workers(const struct kb_inbox *inbox);

/* -- the consumer process -- */

/* False: no room now, which is beyond the bound, or anything but an empty ring for a message that is longer than it. A
 * message longer than kb_inbox_message_max() will never fit. */
bool kb_inbox_put(struct kb_inbox *inbox, size_t worker, const struct kb_message *m);
size_t kb_inbox_message_max(const struct kb_inbox *inbox);

/* The next finished message of a worker: where it came from, and its outcome. False: none. */
bool kb_inbox_harvest(struct kb_inbox *inbox, size_t worker, struct kb_origin *origin, enum kb_outcome *outcome);

/* Signalled by workers that have finished messages while the consumer slept. */
struct kb_wake *kb_inbox_consumer_wake(struct kb_inbox *inbox);

/* -- worker i -- */

/* The next message, valid until it is settled; NULL when there is none. */
struct kb_record *kb_inbox_next(struct kb_inbox *inbox, size_t worker, struct kb_message *m);

/* True when there may be one: for a worker about to sleep. */
bool kb_inbox_has_next(struct kb_inbox *inbox, size_t worker);
void kb_inbox_settle(struct kb_inbox *inbox, size_t worker, struct kb_record *record, enum kb_outcome outcome);

/* The same one for all inboxes of a worker. */
struct kb_wake *kb_inbox_worker_wake(struct kb_inbox *inbox, size_t worker);

#endif
