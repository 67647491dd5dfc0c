/*
 * What the server has read of what core NATS published, which has no acknowledgements of its own. But a server handles
 * what it reads in turn, so with the PONG to a PING it has read all that was written before that PING.
 *
 * One PING at a time is on its way, and goes out together with messages: a busy connection asks once in a round trip,
 * and one that publishes little once in a while, for each answer wakes the process.
 */
#ifndef KB_NATS_RECEIPTS_H
#define KB_NATS_RECEIPTS_H

#include "nats/link.h"

/* Zero-initialise. Messages are numbered from 1, across connections. */
struct kb_nats_receipts {
	uint64_t next;    /* number of the next message; 0: there was none yet */
	uint64_t oldest;  /* open messages are those in [oldest, next) */
	uint64_t covered; /* those before this one are in front of the PING */
	uint64_t suspect; /* those before this one may be what cost a connection, and go one at a time */
	uint64_t ping;    /* the PING that is on its way (kb_nats_link_ping()); 0: none */
	int64_t asked_ms; /* when the last one was */
};

/* The number of a message that is written next. */
static inline uint64_t kb_nats_receipts_number(struct kb_nats_receipts *r)
{
	if (r->next == 0)
		r->next = r->oldest = r->covered = 1;
	return r->next++;
}

static inline bool kb_nats_receipts_open(const struct kb_nats_receipts *r)
{
	return r->oldest < r->next;
}

/* One of the open messages costs the connection: they are sent again one at a time, each once the one before is known
 * to be read, so that for them it is always time to ask. And forgets them. */
void kb_nats_receipts_offended(struct kb_nats_receipts *r);

/* Before a write: asks for what was not asked for, if it is time to, or `at_once`. */
void kb_nats_receipts_ask(struct kb_nats_receipts *r, struct kb_nats_link *link, bool at_once, int64_t now);

/* In how many ms there is something to ask for; -1: nothing. */
int kb_nats_receipts_due_ms(const struct kb_nats_receipts *r, int64_t now);

/* After a PONG: calls events->settled() for those that the server has read. */
void kb_nats_receipts_heed(
	struct kb_nats_receipts *r, const struct kb_nats_link *link, const struct kb_broker_events *events);

/* Forgets the open messages: they are sent again, under other numbers. */
void kb_nats_receipts_forget(struct kb_nats_receipts *r);

#endif
