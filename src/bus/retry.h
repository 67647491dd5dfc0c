/*
 * Messages that the broker refuses, perhaps only for now: a quorum queue without a leader, a queue that is full. They
 * are sent again, and since messages of one writer keep their order, those behind them wait meanwhile.
 *
 *     flowing    everything is sent
 *     held       refused: nothing is sent until the pause is over
 *     probing    one message is in flight, the oldest; confirmed -> flowing, refused -> held, for longer
 *
 * A queue that stays full must not hold up a writer for good. So a refusal after `patience_ms` of it is final, and
 * those that follow are final at once, until there was none for as long.
 */
#ifndef KB_BUS_RETRY_H
#define KB_BUS_RETRY_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	KB_RETRY_FIRST_MS = 100,
	KB_RETRY_MAX_MS = 1000,
	KB_RETRY_FOR_EVER = INT_MAX /* a patience that never ends */
};

/* Zero-initialise: flowing. Times are ms of one clock that only grows and is never 0. */
struct kb_retry {
	int64_t first_at, last_at; /* of the refusals now; 0: none */
	int64_t resume_at;
	int pause_ms;
	bool held, probing;
};

/* A message was refused. True: send it again; false: its refusal is final. */
bool kb_retry_refused(struct kb_retry *r, int64_t now, int64_t patience_ms);

/* A message was confirmed, which ends the probing. */
void kb_retry_confirmed(struct kb_retry *r);

/* True once the pause is over. */
static inline bool kb_retry_due(const struct kb_retry *r, int64_t now)
{
	return r->held && now >= r->resume_at;
}

/* From held to probing; elsewhere nothing changes. */
void kb_retry_resume(struct kb_retry *r);

/* True when nothing may be sent while so many are in flight. */
static inline bool kb_retry_holds(const struct kb_retry *r, uint64_t in_flight)
{
	return r->held || (r->probing && in_flight > 0);
}

#endif
