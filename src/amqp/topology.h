/* Declaring what a subscription needs, on a channel of its own. Blocks for at most the library's RPC timeout a step. */
#ifndef KB_AMQP_TOPOLOGY_H
#define KB_AMQP_TOPOLOGY_H

#include <amqp.h>
#include "bus/subscription.h"

/* How a declaration went. */
struct kb_amqp_declared {
	char error[500];      /* "": all is declared; else what failed, for a log line */
	bool connection_lost; /* the connection went with it; if not, the channel is closed */
	bool offended;        /* the broker closed the connection because of what was declared (5xx, not its own fault) */
	bool differs;         /* what was declared exists with other properties (406); then the channel is closed */
	uint32_t waiting;     /* messages in the queue */
};

/* Opens `channel` and declares exchanges, queue, bindings and consumer. True when all of it succeeded. */
bool kb_amqp_topology_declare(amqp_connection_state_t connection, amqp_channel_t channel,
	const struct kb_subscription *s, struct kb_amqp_declared *declared);

#endif
