/* The delivery that a listener is handling, for its handler to say what becomes of it before it returns. If the handler
 * says nothing it is acknowledged then, where there is anything to acknowledge. */
#ifndef KB_BUS_DELIVERY_H
#define KB_BUS_DELIVERY_H

#include "bus/consume_api.h"

/* Filled in by listener.c. */
struct kb_delivery {
	const struct kb_consume_api *api;
	struct kb_broker *broker;
	const struct kb_origin *origin;
	bool open; /* not settled yet */
};

/* False when it is settled already, or the subscription wants no acknowledgements, or the connection is lost.
 * delay_ms: of KB_REQUEUE, before it is delivered again; 0: at once. */
bool kb_delivery_settle(struct kb_delivery *d, enum kb_outcome outcome, unsigned delay_ms);

/* True while it is still to be settled: nothing has settled it yet, and its subscription wants it settled. */
bool kb_delivery_is_open(const struct kb_delivery *d);

/* Its time for the acknowledgement starts again. False as above. */
bool kb_delivery_progress(struct kb_delivery *d);

#endif
