/*
 * Which of the messages that were published over core NATS the server has read. Core NATS has no acknowledgements, but
 * a server handles what it reads in turn: when the PONG to a PING comes, it has read everything that was written before
 * that PING.
 *
 * One PING at a time is in flight, and it goes out together with messages. A busy connection sends one in a round trip.
 * One that publishes little sends one in a while, because each PONG wakes the process.
 *
 * Times are ms of one clock, which the caller hands in as `now`.
 */
#ifndef KB_NATS_RECEIPTS_H
#define KB_NATS_RECEIPTS_H

#include "nats/link.h"

/* Zero-initialise. Messages are numbered from 1, across connections. */
struct kb_nats_receipts {
	uint64_t next;     /* number of the next message; 0: there has been none */
	uint64_t oldest;   /* open messages are those in [oldest, next) */
	uint64_t covered;  /* those before this one were written before the PING */
	uint64_t suspect;  /* those before this one may have cost a connection, and go one at a time */
	uint64_t ping;     /* the PING in flight, as link.pings counts; 0: none */
	int64_t pinged_ms; /* when the last one was sent */
};

/* The number of the message that is written next. */
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

/* One of the open messages costs the connection. Forgets them: the loop sends them again one at a time, each once the
 * server has read the one before, so for them a PING is always due. */
void kb_nats_receipts_offended(struct kb_nats_receipts *r);

/* Before a write: appends a PING if there are messages that none covers, and one is due or is wanted at_once. */
void kb_nats_receipts_ping(struct kb_nats_receipts *r, struct kb_nats_link *link, bool at_once, int64_t now);

/* In how many ms the next PING is due; -1: there is nothing to cover, or one is in flight. */
int kb_nats_receipts_due_ms(const struct kb_nats_receipts *r, int64_t now);

/* After a PONG: calls events->settled() for those that the server has read. */
void kb_nats_receipts_heed(
	struct kb_nats_receipts *r, const struct kb_nats_link *link, const struct kb_broker_events *events);

/* Forgets the open messages: the loop sends them again, under other numbers. */
void kb_nats_receipts_forget(struct kb_nats_receipts *r);

#endif
