#include "amqp/channels.h"

#include "amqp/state.h"

enum { FIRST_SUBSCRIPTION = KB_AMQP_CHANNELS_PUBLISH + 1, WITHOUT_LIMIT = 65535 };

amqp_channel_t kb_amqp_channels_of_subscription(size_t index)
{
	return (amqp_channel_t)(FIRST_SUBSCRIPTION + index);
}

bool kb_amqp_channels_subscription(const struct kb_broker *b, amqp_channel_t channel, size_t *index)
{
	*index = (size_t)channel - FIRST_SUBSCRIPTION;
	return channel >= FIRST_SUBSCRIPTION && *index < b->n_subscriptions;
}

amqp_channel_t kb_amqp_channels_highest(const struct kb_broker *b)
{
	int agreed = amqp_get_channel_max(b->link.connection);
	return (amqp_channel_t)(agreed > 0 ? agreed : WITHOUT_LIMIT);
}

/* Above those of subscriptions. */
static size_t left(const struct kb_broker *b)
{
	size_t others = KB_AMQP_CHANNELS_PUBLISH + b->n_subscriptions, all = kb_amqp_channels_highest(b);
	return all > others ? all - others : 0;
}

size_t kb_amqp_channels_for_requests(const struct kb_broker *b)
{
	return left(b) < KB_AMQP_REQUEST_CHANNELS ? left(b) : KB_AMQP_REQUEST_CHANNELS;
}

amqp_channel_t kb_amqp_channels_of_request(const struct kb_broker *b, size_t index)
{
	return (amqp_channel_t)(kb_amqp_channels_highest(b) - index);
}

bool kb_amqp_channels_request(const struct kb_broker *b, amqp_channel_t channel, size_t *index)
{
	*index = (size_t)(kb_amqp_channels_highest(b) - channel);
	return channel <= kb_amqp_channels_highest(b) && *index < KB_AMQP_REQUEST_CHANNELS;
}

amqp_channel_t kb_amqp_channels_of_lookup(const struct kb_broker *b)
{
	return left(b) > KB_AMQP_REQUEST_CHANNELS ? (amqp_channel_t)(kb_amqp_channels_highest(b) - KB_AMQP_REQUEST_CHANNELS)
											  : 0;
}
