/* Subscriptions on a connection: starting them, trying those again that ended, acknowledging their deliveries. */
#ifndef KB_AMQP_SUBSCRIPTIONS_H
#define KB_AMQP_SUBSCRIPTIONS_H

#include <amqp.h>
#include "bus/consume_api.h"

struct kb_amqp_subscription;

extern const struct kb_consume_api kb_amqp_subscriptions;

/* settle() of consume_api.h. */
enum kb_broker_result kb_amqp_subscriptions_settle(
	struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome);

/* The subscription on this channel, active or not; NULL: there is none. */
struct kb_amqp_subscription *kb_amqp_subscriptions_on(struct kb_broker *b, amqp_channel_t channel);

/* Starts those again whose pause is over. KB_BROKER_OK or KB_BROKER_LOST. */
enum kb_broker_result kb_amqp_subscriptions_retry(struct kb_broker *b);

/* What the broker says on the channel of one. */
void kb_amqp_subscriptions_closed(struct kb_broker *b, struct kb_amqp_subscription *sub, const char *why);
void kb_amqp_subscriptions_cancelled(struct kb_broker *b, struct kb_amqp_subscription *sub); /* basic.cancel */
void kb_amqp_subscriptions_counted(struct kb_broker *b, struct kb_amqp_subscription *sub, uint32_t messages);
void kb_amqp_subscriptions_ended(struct kb_amqp_subscription *sub); /* channel.close-ok */

/* All channels are gone with the connection. What offended the broker stays known. */
void kb_amqp_subscriptions_clear(struct kb_broker *b);
void kb_amqp_subscriptions_free(struct kb_broker *b);

#endif
