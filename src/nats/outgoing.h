/* Publishing: publish() and renew() of the contract. */
#ifndef KB_NATS_OUTGOING_H
#define KB_NATS_OUTGOING_H

#include "nats/state.h"

enum kb_broker_result kb_nats_outgoing_publish(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence);

/* renew() only notes it: kb_nats_outgoing_renew_now() tells the loop, from inside process(). */
void kb_nats_outgoing_renew(struct kb_broker *b);
void kb_nats_outgoing_renew_now(struct kb_broker *b);

#endif
