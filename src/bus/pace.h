/*
 * Gathering under load: a loop that is woken for each of many messages a millisecond costs its own process, the broker
 * and the other side a system call and a wake-up each. Above a rate it lets them gather for a moment instead; below it
 * nothing waits.
 */
#ifndef KB_BUS_PACE_H
#define KB_BUS_PACE_H

#include <stdint.h>

enum {
	KB_PACE_PER_MS = 5, /* messages a millisecond from which on it pays to gather */
	/* What a message then waits at most. Measured by spec/bench: RabbitMQ delivers 15 to 20 % more when the socket is
	 * read every millisecond; sending gains nothing from that, and somebody may wait for the confirm. */
	KB_PACE_READ_US = 1000,
	KB_PACE_SEND_US = 250
};

/* Zero-initialise. */
struct kb_pace {
	int64_t window_us; /* when counting began */
	unsigned count;    /* messages since */
};

/* Counts n messages handled. */
static inline void kb_pace_note(struct kb_pace *pace, unsigned n)
{
	pace->count += n;
}

/* Before a loop sleeps: gathers for nap_us when messages come fast. True when it did, and there may be work again. */
int kb_pace_gather(struct kb_pace *pace, unsigned nap_us);

#endif
