/* Errors that a server tells of (-ERR): each may be about a subscription, a message, or the connection. */
#ifndef KB_NATS_ERRORS_H
#define KB_NATS_ERRORS_H

#include "nats/state.h"

/* `text` is the error as sent, without quotes. `now`: ms. */
void kb_nats_errors_heed(struct kb_broker *b, struct kb_slice text, int64_t now);

#endif
