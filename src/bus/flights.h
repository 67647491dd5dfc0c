/* Messages of a publisher that are in flight: what the broker says became of them, and what is sent again. */
#ifndef KB_BUS_FLIGHTS_H
#define KB_BUS_FLIGHTS_H

#include "bus/publisher_state.h"

/* A record was sent, and its outcome will name `sequence`. */
void kb_flights_take_off(struct kb_publishing *l, struct kb_lane *lane, struct kb_record *record, uint64_t sequence);

/* One that is not sent, because its exchange is missing. */
void kb_flights_refuse_unsent(struct kb_publishing *l, struct kb_lane *lane, struct kb_record *record, const char *why);

/* So many of those that are sent one by one, to find the one that costs the connection, have had their turn. */
void kb_flights_stepped(struct kb_publishing *l, unsigned n);

/* Forgets the open flights and goes back to the first message of each lane that is not settled. Returns how many were
 * open. */
uint64_t kb_flights_rewind(struct kb_publishing *l);

/* For kb_publish_events. */
void kb_flights_on_settled(
	void *context, uint64_t sequence, bool multiple, enum kb_outcome outcome, const char *reason);
void kb_flights_on_requeue(void *context, enum kb_requeue_cause cause, const char *reason);
void kb_flights_on_returned(void *context, const struct kb_message *m, const char *reason);

#endif
