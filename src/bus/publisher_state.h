/* The inside of a publisher process, which publisher.c (the loop), lanes.c (what is sent, and when) and flights.c (what
 * became of it) share. */
#ifndef KB_BUS_PUBLISHER_STATE_H
#define KB_BUS_PUBLISHER_STATE_H

#include "bus/backoff.h"
#include "bus/exchanges.h"
#include "bus/own_event.h"
#include "bus/pace.h"
#include "bus/publisher.h"
#include "bus/retry.h"
#include "core/log.h"

enum {
	KB_WINDOW = 8192, /* messages sent and not settled; a power of two */
	KB_RUN = 64, /* of them, those of one lane that are settled together where no one of them has its own outcome */
	KB_DRAIN_TICK_MS = 20
};

/* One ring of the outbox that this publisher serves. */
struct kb_lane {
	struct kb_ring *ring;
	uint64_t cursor;
	uint64_t in_flight; /* its open flights */
	bool waits;         /* its next message is for an exchange that is in doubt */
	struct kb_retry retry;
};

/* A message that the broker has, or will have, and has not confirmed; or a run of them. */
struct kb_flight {
	struct kb_lane *lane;
	struct kb_record *record; /* the first; NULL once settled */
	uint64_t end;             /* the cursor behind the last */
	unsigned n;
	bool returned; /* it reached no queue */
};

struct kb_publishing {
	const struct kb_publisher *p;
	struct kb_broker *broker;
	struct kb_lane *lanes;
	size_t n_lanes, turn; /* turn: the lane that is served next */
	struct kb_flight flights[KB_WINDOW];
	uint64_t oldest, next; /* sequences: open flights are those in [oldest, next) */
	uint64_t newest;       /* that of the last flight, which may be a run */

	/* After the broker closed the channel over one of the messages in flight, those are sent again one at a time, so
	 * that the one at fault is found and the others are not lost with it. */
	uint64_t step_left;

	struct kb_exchanges *exchanges; /* NULL: the broker has none */
	uint64_t *written;              /* by each lane's writer, when a lookup is sent */

	/* Refused messages are sent again on a new channel: RabbitMQ 3.10 refuses all that comes for a quorum queue on a
	 * channel that first published to it while it had no leader. */
	int64_t renew_since; /* ms; when sending stopped for that, 0: not now */
	bool renewing;       /* the channel is being replaced */
	bool connected, blocked;
	bool open;           /* and said to be: the subscription is active, if there is one */
	bool silent;         /* the broker has said nothing since it was last read */
	bool settled_any;    /* since the writers that wait for an outcome were last woken */
	int64_t drain_until; /* ms; 0 until *stop is set */
	struct kb_backoff backoff;
	struct kb_pace pace;
	struct kb_log_limit rejected, refused, returned, odd, awaited;
	struct kb_own_events own;
};

#endif
