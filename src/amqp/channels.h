/*
 * Which channel of a connection serves what:
 *
 *     1               messages that are published
 *     2, 3, ...       a subscription each
 *     ...
 *     one             the lookup of exchanges, when there are enough
 *     up to 16        requests, up to the highest number that the broker allows
 */
#ifndef KB_AMQP_CHANNELS_H
#define KB_AMQP_CHANNELS_H

#include <amqp.h>
#include <stdbool.h>

struct kb_broker;

enum { KB_AMQP_CHANNELS_PUBLISH = 1 };

/* The highest one that the broker and the address allow. */
amqp_channel_t kb_amqp_channels_highest(const struct kb_broker *b);

/* It may be above the highest. */
amqp_channel_t kb_amqp_channels_of_subscription(size_t index);

/* False when the channel is not one of a subscription. */
bool kb_amqp_channels_subscription(const struct kb_broker *b, amqp_channel_t channel, size_t *index);

/* How many there are for requests. */
size_t kb_amqp_channels_for_requests(const struct kb_broker *b);

/* The one of a request channel, and back. False when it is not one of them. */
amqp_channel_t kb_amqp_channels_of_request(const struct kb_broker *b, size_t index);
bool kb_amqp_channels_request(const struct kb_broker *b, amqp_channel_t channel, size_t *index);

/* 0: the broker allows too few. */
amqp_channel_t kb_amqp_channels_of_lookup(const struct kb_broker *b);

#endif
