/* Reading what the server sends: deliveries are handed over, all else is handled by the part that it concerns. */
#ifndef KB_NATS_INCOMING_H
#define KB_NATS_INCOMING_H

#include "nats/state.h"

/* Reads and delivers at most `left` messages. True: everything that the socket had is handled. */
bool kb_nats_incoming_process(struct kb_broker *b, unsigned left);

#endif
