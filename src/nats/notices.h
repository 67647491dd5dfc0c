/* What a server says of itself: its cluster, and that we read too slowly. */
#ifndef KB_NATS_NOTICES_H
#define KB_NATS_NOTICES_H

#include "nats/state.h"

/* Calls events.notice() for something that has been logged. */
void kb_nats_notices_tell(struct kb_broker *b, const char *name);

/* The server has ended the connection, or is about to, because we read too slowly. */
void kb_nats_notices_slow_consumer(struct kb_broker *b);

/* An INFO on a connection at work: notes it, and tells of servers that joined the cluster. */
void kb_nats_notices_info(struct kb_broker *b, const struct kb_nats_wire_op *op);

/* Servers of the cluster that the last INFO names. */
size_t kb_nats_notices_cluster_size(const struct kb_broker *b);

#endif
