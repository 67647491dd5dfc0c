/* The memory of replies, for reply.c (the process that sends a request) and replies.c (the rest) alone. */
#ifndef KB_CORE_REPLY_SLOTS_H
#define KB_CORE_REPLY_SLOTS_H

#include <stdatomic.h>
#include "core/line.h"
#include "core/assert.h"
#include "core/reply.h"
#include "core/reply_claims.h"
#include "core/stats.h"
#include "core/wake.h"

/* States of a slot besides those of enum kb_reply_state. */
enum {
	KB_REPLY_CLAIMED = 100,  /* between FREE and WAITING, while the request is built */
	KB_REPLY_ABANDONED = 101 /* given back while it was being filled; the requester frees it */
};

/* In shared memory, written by several processes. */
struct kb_reply_slot {
	_Alignas(64) _Atomic uint32_t state; /* also the futex that the process of the slot sleeps on */
	_Atomic bool handed_over;            /* from now on another process ends the request */
	_Atomic uint64_t hash;               /* of the id; 0: no request */
	_Atomic uint64_t to;                 /* hash of the exchange that the request goes to */
	_Atomic uint64_t reply_size;
	int64_t deadline_ms;
	bool nameless; /* the id does not end in the number of this slot */
	uint8_t id_size;
	char id[KB_REPLY_ID_MAX];
	unsigned char note[KB_REPLY_NOTE_MAX];
};

_Static_assert(KB_REPLY_ID_MAX <= UINT8_MAX, "no id_size is beyond the id");

/* In shared memory, too. */
struct kb_replies_shared {
	_Atomic uint32_t open, generation;
	struct kb_line closed_because; /* empty: no broker is connected */
	_Atomic size_t begun;          /* requests that were claimed and not ended */
	_Atomic size_t nameless;       /* slots of that kind */
	_Atomic size_t next_share;     /* which the next request is claimed in */
	struct kb_wake wakes[];        /* one for each share */
};

/* Set before any fork, and in memory of each process, so that no other process can change a bound. */
struct kb_replies {
	size_t n, sync, shares;
	size_t bytes, stride; /* of a reply at most; between two of them */
	size_t most;          /* requests in flight */
	size_t total;         /* bytes of shared memory, which starts with: */
	struct kb_replies_shared *shared;
	char *claims; /* reply_claims.c */
	size_t claims_stride;
	struct kb_reply_slot *slots;
	char *contents;
};

static inline struct kb_reply_slot *kb_reply_slot(const struct kb_replies *replies, size_t slot)
{
	kb_require(slot < replies->n);
	return &replies->slots[slot];
}

static inline char *kb_reply_slot_content(const struct kb_replies *replies, size_t slot)
{
	return replies->contents + slot * replies->stride;
}

/* Puts an ended request's slot at the disposal of the next one. */
static inline void kb_reply_slot_release(struct kb_replies *replies, size_t slot)
{
	atomic_store(&replies->slots[slot].state, KB_REPLY_FREE);
	if (slot >= replies->sync)
		kb_reply_claims_give_back(replies, slot);
}

static inline bool kb_reply_slot_change(struct kb_reply_slot *s, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong(&s->state, &from, to);
}

/* Of a slot behind the first `sync`. */
static inline struct kb_wake *kb_reply_slot_wake(const struct kb_replies *replies, size_t slot)
{
	return &replies->shared->wakes[(slot - replies->sync) % replies->shares];
}

#endif
