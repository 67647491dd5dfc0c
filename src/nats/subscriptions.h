/* The subscriptions of a connection: started, refused by the server and tried again, and their durable consumers. Times
 * are ms of one clock. */
#ifndef KB_NATS_SUBSCRIPTIONS_H
#define KB_NATS_SUBSCRIPTIONS_H

#include "nats/state.h"

/* As subscribe() of the contract. */
enum kb_broker_result kb_nats_subscriptions_add(
	struct kb_broker *b, const struct kb_subscription *config, uint32_t index);

/* An error of the server. When it refuses a subscription, that is tried again after a while. `what`: as much of the
 * text as is shown, NUL-terminated. */
void kb_nats_subscriptions_note_refusal(struct kb_broker *b, struct kb_slice text, const char *what, int64_t now);

/* While b->refused is set: tries those again whose time has come. */
void kb_nats_subscriptions_retry(struct kb_broker *b, int64_t now);

/* Calls kb_nats_durable_tick() for each durable consumer. */
void kb_nats_subscriptions_tick(struct kb_broker *b, int64_t now);

/* Logs and counts that a durable consumer can be used, or cannot be, and why (durable.why). */
void kb_nats_subscriptions_report(struct kb_broker *b, const struct kb_nats_subscription *s);

#endif
