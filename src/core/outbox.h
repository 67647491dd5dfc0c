/*
 * Messages that SIP workers publish: one ring for each process of the server, read by the publisher processes.
 *
 * A worker writes into its own ring and goes on: no lock, no system call unless the publisher sleeps. A message leaves
 * its ring when the publisher settles it, so the ring is also what is sent again after a reconnect.
 */
#ifndef KB_CORE_OUTBOX_H
#define KB_CORE_OUTBOX_H

#include "core/message.h"
#include "core/ring.h"
#include "core/wake.h"

struct kb_outbox;

enum kb_outbox_result {
	KB_OUTBOX_ACCEPTED,
	KB_OUTBOX_FULL,     /* the bound is reached: nothing was kept */
	KB_OUTBOX_TOO_LARGE /* longer than kb_outbox_message_max(): will never fit */
};

/* One line of counters for each writer, one for each reader; only their owner writes them. */
struct kb_outbox_totals {
	uint64_t accepted, refused; /* by kb_outbox_put(), and kb_outbox_room() */
	uint64_t too_large;         /* of those refused */
	uint64_t bytes_used;        /* written and not settled */
	uint64_t bytes_high;        /* the highest bytes_used that a writer has seen in its ring, over all rings */
};

/* Shared memory for `writers` rings of `bytes` each (rounded up to a power of two), read by `readers` processes; ring i
 * belongs to reader i % readers. Pages are taken from the system when they are first used. Call before any fork. NULL
 * and errno on failure. */
struct kb_outbox *kb_outbox_create(size_t writers, size_t bytes, size_t readers);
void kb_outbox_destroy(struct kb_outbox *outbox); /* NULL is fine; the owner process only */

/* -- writer i, one process -- */
enum kb_outbox_result kb_outbox_put(struct kb_outbox *outbox, size_t writer, const struct kb_message *m);

/* The result that a put would have now, for a caller that has something to do first that only makes sense with the
 * message. After KB_OUTBOX_ACCEPTED the same message is accepted, unless this process puts another one before. */
enum kb_outbox_result kb_outbox_room(struct kb_outbox *outbox, size_t writer, const struct kb_message *m);

/* Waits for the outcome of the message of the last successful put; KB_PENDING when it is not known in time. The message
 * stays in the ring, whatever the outcome. */
enum kb_outcome kb_outbox_await(struct kb_outbox *outbox, size_t writer, unsigned timeout_ms);
size_t kb_outbox_message_max(const struct kb_outbox *outbox);
size_t kb_outbox_writers(const struct kb_outbox *outbox);

/* -- reader r, one process -- */
struct kb_ring *kb_outbox_ring(struct kb_outbox *outbox, size_t writer);
struct kb_wake *kb_outbox_wake(struct kb_outbox *outbox, size_t reader);

/* After records were settled: wakes the writers that wait for outcomes. */
void kb_outbox_wake_writers(struct kb_outbox *outbox, size_t reader);
size_t kb_outbox_readers(const struct kb_outbox *outbox);

/* -- any process -- */
struct kb_outbox_totals kb_outbox_totals(struct kb_outbox *outbox);

#endif
