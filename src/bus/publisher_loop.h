/*
 * The inside of a publisher process, for publisher.c (the loop), publisher_lanes.c (what is sent, and when) and
 * publisher_flights.c (what became of it) alone.
 */
#ifndef KB_BUS_PUBLISHER_LOOP_H
#define KB_BUS_PUBLISHER_LOOP_H

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
	uint64_t under_way; /* its open flights */
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

	/* After the broker closed the channel over one of the messages on their way, those are sent again one at a time, so
	 * that the guilty one is found and the others are not lost with it. */
	uint64_t step_left;

	struct kb_exchanges *exchanges; /* NULL: the broker has none */
	uint64_t *written;              /* by each lane's writer, when an exchange is asked for */

	/* Refused messages are sent again on a new channel: RabbitMQ 3.10 refuses all that comes for a quorum queue on a
	 * channel that first published to it while it had no leader. */
	int64_t renew_since; /* ms; when sending stopped for that, 0: not now */
	bool renewing;       /* the channel is being replaced */
	bool connected, blocked;
	bool open;           /* and said to be: the subscription stands, if there is one */
	bool silent;         /* the broker has said nothing since it was last read */
	bool settled_any;    /* since the writers that wait for an outcome were last woken */
	int64_t drain_until; /* ms; 0 until the loop is asked to stop */
	struct kb_backoff backoff;
	struct kb_pace pace;
	struct kb_log_limit rejected, refused, returned, odd, unsendable, awaited;
	struct kb_own_events own;
};

static inline struct kb_flight *kb_flight(struct kb_publishing *l, uint64_t sequence)
{
	return &l->flights[sequence & (KB_WINDOW - 1)];
}

/* -- publisher_lanes.c -- */

/* Each lane in turn, beginning where the last call stopped. */
void kb_lanes_send(struct kb_publishing *l);

/* False: nothing may be sent now, whatever there is. */
bool kb_lanes_open(const struct kb_publishing *l);
bool kb_lanes_have_work(const struct kb_publishing *l);

/* Refused messages have their next try on a new channel, once all that is on its way has its outcome. */
void kb_lanes_renew_when_due(struct kb_publishing *l);

/* ms, or less when a lane is to be resumed or an exchange to be asked for before. */
int kb_lanes_until_due(const struct kb_publishing *l, int ms);

/* False when memory is out. */
bool kb_lanes_make_exchanges(struct kb_publishing *l, size_t writers);

/* On a new connection: those that the consumer declares, who has one of its own. */
void kb_lanes_expect_exchanges(struct kb_publishing *l);
void kb_lanes_ask_for_exchange(struct kb_publishing *l);
void kb_lanes_on_exchange(void *context, bool missing, const char *why);

/* -- publisher_flights.c -- */

/* A record is on its way, and its outcome will name `sequence`. */
void kb_flights_take_off(struct kb_publishing *l, struct kb_lane *lane, struct kb_record *record, uint64_t sequence);

/* One that is not sent, because its exchange is missing. */
void kb_flights_refuse_unsent(struct kb_publishing *l, struct kb_lane *lane, struct kb_record *record, const char *why);

/* So many of those that are sent one by one, to find the one that costs the connection, have had their turn. */
void kb_flights_stepped(struct kb_publishing *l, unsigned n);

/* Forgets the open flights and goes back to the first message of each lane that is not settled. How many were open. */
uint64_t kb_flights_rewind(struct kb_publishing *l);

void kb_flights_on_settled(
	void *context, uint64_t sequence, bool multiple, enum kb_outcome outcome, const char *reason);
void kb_flights_on_requeue(void *context, enum kb_requeue_cause cause, const char *reason);
void kb_flights_on_returned(void *context, const struct kb_message *m, const char *reason);

#endif
