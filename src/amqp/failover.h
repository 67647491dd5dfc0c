/*
 * Which address of a list a connection tries next. No sockets and no clock of its own.
 *
 * A round passes all addresses, one an attempt. Brokers of a list need not be a cluster: a reply reaches its request
 * only when it goes to the broker where all processes of the zone are. So a process that connects leads the others,
 * who try that address next, once for each time that somebody has connected there, and then go on with their rounds.
 * Two attempts in succession never follow: whatever the others do, a round of n addresses is over after 2n attempts.
 */
#ifndef KB_AMQP_FAILOVER_H
#define KB_AMQP_FAILOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	KB_AMQP_FOLLOW_MS = 5000,      /* that each has a connection before it leaves it for that of the others */
	KB_AMQP_FOLLOW_MAX_MS = 300000 /* the same after attempts to follow that failed: it doubles */
};

/* Of one connection. Zero-initialise, and set n: the first attempt is at the first address. */
struct kb_amqp_failover {
	size_t n;       /* addresses, 1 at least */
	size_t current; /* index of the address that is connected to, or was tried last */
	size_t turn;    /* index of the last address that the round was at */
	bool begun, connected;
	bool once_more;    /* the next attempt of the round is at the same address: a lost connection says little of its
						  broker */
	bool follows;      /* the last attempt followed the others */
	uint32_t seen;     /* the count of the last lead that was followed or given */
	int follow_ms;     /* the pause before the next lead is followed; 0: no connection yet */
	int64_t follow_at; /* ms; when it is over */
};

/* A lead is the index of an address, in the lower half, and how many there were, in the upper half. 0: none yet. */

/* The index of the address for the next attempt. */
size_t kb_amqp_failover_next(struct kb_amqp_failover *f, uint64_t lead);

/* The attempt has succeeded: the lead for the others, after the one that they have. */
uint64_t kb_amqp_failover_connected(struct kb_amqp_failover *f, uint64_t lead, int64_t now_ms);

/* True when a connection should be left for the address of the others, which next() then returns. Processes that cannot
 * reach each other's brokers would lead each other for ever, if not for the pause. */
bool kb_amqp_failover_leaves(const struct kb_amqp_failover *f, uint64_t lead, int64_t now_ms);

/* Where a lead leads to: an index below n. */
size_t kb_amqp_failover_there(const struct kb_amqp_failover *f, uint64_t lead);

#endif
