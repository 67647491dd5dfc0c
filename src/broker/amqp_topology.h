/* Declaring what a subscription needs, on a channel of its own. Blocks for at most the library's RPC timeout a step. */
#ifndef KB_BROKER_AMQP_TOPOLOGY_H
#define KB_BROKER_AMQP_TOPOLOGY_H

#include <amqp.h>
#include "broker/broker.h"

/* Opens `channel` and declares exchange, queue, bindings and consumer. NULL when all stand; else what failed, for a log
 * line, valid until the next call. *connection_lost tells whether the connection went with it; if not, the channel is
 * closed. */
const char *kb_amqp_topology(
	amqp_connection_state_t connection, amqp_channel_t channel, const struct kb_subscription *s, bool *connection_lost);

/* The reason in a reply that is not normal; for a log line, valid until the next call. */
const char *kb_amqp_reason(amqp_rpc_reply_t reply);

#endif
