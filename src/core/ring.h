/*
 * A bounded ring of byte records in shared memory, from one writing to one reading process.
 *
 * A record lives through four states:
 *
 *     written    kb_ring_reserve(), the writer fills it, kb_ring_commit()
 *     taken      kb_ring_next() shows it to the reader, which may take many before it settles the first
 *     settled    kb_ring_settle(): the reader is done and says with what outcome, in any order
 *     reclaimed  kb_ring_harvest() or kb_ring_reclaim(): the writer has seen the outcome, the bytes are free again
 *
 * So one structure carries messages one way and their outcomes (a confirm, an ack) back, without a lock: a process that
 * stops anywhere in between can delay the other, never block it. Positions count bytes and only grow. A writer that
 * finds the ring empty goes on at its beginning, so that a ring from which all is taken soon needs few pages.
 *
 * A record or position that another process has broken costs messages: its reader gives up what is written, and goes on
 * with the next record; its writer refuses. No side reads or writes outside of the ring.
 *
 *     reclaimed <= settled (tail) <= taken (the reader's cursor) <= written (head) <= reclaimed + capacity
 */
#ifndef KB_CORE_RING_H
#define KB_CORE_RING_H

#include <stdatomic.h>
#include <stdint.h>
#include "core/slice.h"

struct kb_ring; /* lies in memory that both processes map at any address */

enum kb_outcome {
	KB_PENDING = 0, /* not settled yet */
	KB_DONE,        /* confirmed by the broker, or handled by the worker */
	KB_REJECTED,    /* refused by the broker, or rejected by the worker for good */
	KB_REQUEUE      /* to be delivered again */
};

struct kb_record {
	uint32_t size; /* bytes of data */
	uint16_t kind; /* private to ring.c */
	_Atomic uint16_t outcome;
	unsigned char data[]; /* aligned to 8 bytes */
};

/* Bytes of memory for a ring that holds `capacity` bytes; capacity is rounded up to a power of two. */
size_t kb_ring_footprint(size_t capacity);

/* Makes an empty ring of zeroed memory. Never fails; the caller keeps ownership of the memory. */
struct kb_ring *kb_ring_init(void *memory, size_t capacity);

/* The longest record that is certain to fit into an empty ring, in bytes. */
size_t kb_ring_record_max(const struct kb_ring *ring);

/* -- the writing process -- */

/* Room for a record of `size` bytes, or NULL when the ring is too full. Nothing is visible before the commit;
 * reserving again without one discards the first. */
void *kb_ring_reserve(struct kb_ring *ring, size_t size);
void kb_ring_commit(struct kb_ring *ring);

/* The oldest settled record, which is reclaimed by the next kb_ring_harvest(); NULL when none is settled. */
struct kb_record *kb_ring_harvest(struct kb_ring *ring);

/* Reclaims all that is settled, for a writer that does not look at outcomes. */
void kb_ring_reclaim(struct kb_ring *ring);

/* Bytes written and not reclaimed, padding included. */
size_t kb_ring_held(const struct kb_ring *ring);

/* The cursor behind the last record that is written. Any process may ask. */
uint64_t kb_ring_written(const struct kb_ring *ring);

/* True when the ring has gone far through its memory: when all is reclaimed, it starts over and can be trimmed. */
bool kb_ring_spread(const struct kb_ring *ring);

/* Gives the pages of a ring of which all is reclaimed back to the system, but for its first MB: at most 256 KB in a
 * call, which takes time with each process that maps them. Not between a reserve and its commit; the bytes of reclaimed
 * records are gone then. For memory that is mapped as MAP_SHARED. */
void kb_ring_trim(struct kb_ring *ring);

/* Bytes written and not settled, padding included. Any process may ask. */
size_t kb_ring_used(const struct kb_ring *ring);

/* -- the reading process -- */

/* Where the reader stands when it has taken nothing, or wants to take again all that is not settled. */
uint64_t kb_ring_cursor(const struct kb_ring *ring);

/* The record at *cursor, which moves past it, or NULL when there is none. The record stays in place until the reader
 * settles it. Records that are settled already are passed over. */
struct kb_record *kb_ring_next(struct kb_ring *ring, uint64_t *cursor);

/* True when kb_ring_next() may find a record at the cursor: for a reader about to sleep. */
bool kb_ring_has_next(const struct kb_ring *ring, uint64_t cursor);

/* Sets the outcome of a record that kb_ring_next() returned. Settling a record twice is an error of the caller, and
 * changes nothing. */
void kb_ring_settle(struct kb_ring *ring, struct kb_record *record, enum kb_outcome outcome);

/* The same with KB_DONE for all up to a cursor that are not settled yet, without writing that into each: for those
 * whose writer does not look at outcomes. */
void kb_ring_settle_up_to(struct kb_ring *ring, uint64_t cursor);

/* True when everything written is settled. */
bool kb_ring_empty(const struct kb_ring *ring);

#endif
