/*
 * What passes over each connection and each subscription, for operators: written by the process that has the connection
 * while it works, read by the process that an operator asks (RPC, statistics).
 *
 *     kb_traffic_create()       before any fork
 *     kb_traffic_connection()   by each process with a connection; goes into kb_broker_config.traffic
 *     kb_traffic_list()         by the same process: its subscriptions
 *
 * All functions that count accept a connection of NULL: then nothing is counted.
 */
#ifndef KB_BUS_TRAFFIC_H
#define KB_BUS_TRAFFIC_H

#include "core/counter.h"
#include "core/line.h"
#include "core/message.h"
#include "core/ring.h"

struct kb_traffic;
struct kb_subscription;

enum kb_connection_state { KB_CONNECTION_CLOSED, KB_CONNECTION_CONNECTING, KB_CONNECTION_OPEN, KB_CONNECTION_BLOCKED };

enum kb_subscription_state {
	KB_SUBSCRIPTION_UNUSED, /* not meant for this connection */
	KB_SUBSCRIPTION_ACTIVE,
	KB_SUBSCRIPTION_RETRYING
};

/* Why a delivery was discarded. */
enum kb_drop {
	KB_DROP_TOO_LARGE,  /* a delivery larger than the inbox takes */
	KB_DROP_UNREADABLE, /* a delivery that no policy can make sense of */
	KB_DROP_NO_ROUTE,   /* a delivery for which the configuration has no event route */
	KB_DROP_REASONS
};

struct kb_subscription_traffic {
	_Alignas(64) kb_counter delivered, redelivered, acked, rejected, requeued;
	kb_counter pending; /* messages that waited at the broker when one was last delivered; NATS streams alone */
	kb_counter state;   /* enum kb_subscription_state */
	kb_counter dropped[KB_DROP_REASONS];
	struct kb_line exchange, queue, routing, reason; /* reason: of KB_SUBSCRIPTION_RETRYING */
};

struct kb_connection {
	_Alignas(64) kb_counter messages_in, bytes_in, messages_out, bytes_out; /* bytes: of payloads */
	kb_counter confirmed;                /* outgoing messages that the broker has confirmed */
	kb_counter sent_only;                /* ... that were sent, or that the server has read, with no confirm to come */
	kb_counter rejected;                 /* ... that it refused for good */
	kb_counter returned;                 /* ... that no queue was bound for */
	kb_counter invalid;                  /* ... that the protocol has no room for: never sent */
	kb_counter expired;                  /* requests past their deadline: never sent */
	kb_counter unmatched;                /* replies that no request waited for */
	kb_counter forbidden;                /* how often the server did not let us publish to a subject */
	kb_counter discovered;               /* how often a cluster announced more servers than before */
	kb_counter lame_duck, slow_consumer; /* how often the server was about to close, found us too slow */
	kb_counter state, since_s, opened, failed; /* since_s: Unix seconds; failed: attempts to connect */
	kb_counter subscribed;                     /* how many subscriptions, from first_subscription on */
	struct kb_subscription_traffic *first_subscription;
	struct kb_traffic *traffic;
	uint32_t broker;                           /* as in kb_origin */
	struct kb_line name, zone, address, error; /* zone: empty where there are none */
};

/* Shared memory for so many of each, of which pages are taken when first used. NULL and errno on failure. */
struct kb_traffic *kb_traffic_create(size_t connections, size_t subscriptions);
void kb_traffic_destroy(struct kb_traffic *traffic); /* NULL is fine; the owner process only */

/* -- the process that has the connection -- */

/* NULL when there are too many, or `traffic` is NULL. */
struct kb_connection *kb_traffic_connection(
	struct kb_traffic *traffic, const char *name, const char *zone, uint32_t broker);

/* Once; index i of the list is kb_origin.subscription i. With federated_only the others stay unused. */
void kb_traffic_list(
	struct kb_connection *c, const struct kb_subscription *subscriptions, size_t n, bool federated_only);

/* NULL for `address` or `error`: keep the last one. A change to open or blocked from less counts as opened. */
void kb_traffic_state(struct kb_connection *c, enum kb_connection_state state, const char *address, const char *error);

/* By the loop, once it has connected and subscribed and has told so: from now on the connection is of use. */
void kb_traffic_open(struct kb_connection *c);

/* reason NULL: the subscription is active. */
void kb_traffic_subscription(struct kb_connection *c, uint32_t subscription, const char *reason);

void kb_traffic_delivered(struct kb_connection *c, const struct kb_message *m);
/* How many messages wait for a subscription, now that the broker says so. */
void kb_traffic_pending(struct kb_connection *c, uint32_t subscription, uint64_t messages);

void kb_traffic_settled(struct kb_connection *c, const struct kb_origin *origin, enum kb_outcome outcome);
void kb_traffic_drop(struct kb_connection *c, const struct kb_origin *origin, enum kb_drop reason);

static inline void kb_traffic_sent(struct kb_connection *c, size_t bytes)
{
	if (!c)
		return;
	kb_counter_add(&c->messages_out, 1);
	kb_counter_add(&c->bytes_out, bytes);
}

/* Counts one outgoing message: kb_traffic_note(c, confirmed). */
#define kb_traffic_note(c, counter)                                                                                    \
	do {                                                                                                               \
		if (c)                                                                                                         \
			kb_counter_add(&(c)->counter, 1);                                                                          \
	} while (0)

/* -- any process -- */

/* kb_traffic_drop() for a worker, which knows a message and not its connection. The module's own events do not count.
 */
void kb_traffic_dropped(struct kb_traffic *traffic, const struct kb_origin *origin, enum kb_drop reason);

size_t kb_traffic_connections(const struct kb_traffic *traffic);
const struct kb_connection *kb_traffic_at(const struct kb_traffic *traffic, size_t i);

/* The sum over all connections, and over all subscriptions, of a counter at this offset; traffic may be NULL. */
uint64_t kb_traffic_sum(const struct kb_traffic *traffic, size_t offset);
uint64_t kb_traffic_subscription_sum(const struct kb_traffic *traffic, size_t offset);

/* How many connections are in this state. */
size_t kb_traffic_in_state(const struct kb_traffic *traffic, enum kb_connection_state state);

/* How many outgoing messages are settled, with any outcome. */
uint64_t kb_traffic_done(const struct kb_traffic *traffic);

#endif
