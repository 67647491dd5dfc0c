/*
 * Acknowledging the delivery that is being handled, b->offered: settle(), settle_now() and progress() of the contract.
 * Core NATS acknowledges nothing, so there they do nothing.
 *
 * While a route runs, the writer (writer.h) has the link. Each of these takes it back first.
 */
#ifndef KB_NATS_SETTLE_H
#define KB_NATS_SETTLE_H

#include "nats/state.h"

enum kb_broker_result kb_nats_settle(struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome);
enum kb_broker_result kb_nats_settle_now(
	struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome, unsigned delay_ms);
enum kb_broker_result kb_nats_settle_progress(struct kb_broker *b, const struct kb_origin *origin);

/* Lends the link to the writer, so that earlier acknowledgements do not wait for the end of a slow route. When there
 * can be no writer, writes them now. */
void kb_nats_settle_lend(struct kb_broker *b);

#endif
