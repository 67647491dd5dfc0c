/* Asking the broker whether it has an exchange. On a channel of its own: the answer that it has not costs the channel.
 */
#include "amqp/state.h"

#include <stdio.h>
#include "amqp/frames.h"
#include "amqp/topology.h"

/* Below those of questions; 0: the broker does not allow that many. */
static amqp_channel_t channel_of(const struct kb_broker *b)
{
	size_t others = KB_AMQP_FIRST_SUBSCRIPTION_CHANNEL - 1 + b->n_subscriptions;
	size_t all = kb_amqp_highest_channel(b);
	return (amqp_channel_t)(all > others + KB_AMQP_QUESTION_CHANNELS ? all - KB_AMQP_QUESTION_CHANNELS : 0);
}

enum kb_broker_result kb_amqp_ask_exchange(struct kb_broker *b, struct kb_slice exchange)
{
	if (!b->link.connection)
		return KB_BROKER_LOST;
	amqp_channel_t channel = channel_of(b);
	if (!channel)
		return KB_BROKER_INVALID;
	/* The broker reads frames in their order, so the question need not wait for the channel. */
	if (!b->lookup.open)
		b->lookup.open =
			kb_amqp_put_method(&b->link.out, channel, AMQP_CHANNEL_OPEN_METHOD, &(amqp_channel_open_t){{0, NULL}});
	amqp_exchange_declare_t declare = {.exchange = kb_amqp_bytes(exchange), .passive = 1};
	b->lookup.asked =
		b->lookup.open && kb_amqp_put_method(&b->link.out, channel, AMQP_EXCHANGE_DECLARE_METHOD, &declare);
	return b->lookup.asked ? KB_BROKER_OK : KB_BROKER_INVALID;
}

static void answer(struct kb_broker *b, bool missing, const char *why)
{
	bool asked = b->lookup.asked;
	b->lookup.asked = false;
	if (asked && b->events.publish.exchange)
		b->events.publish.exchange(b->events.context, missing, why);
}

static void closed(struct kb_broker *b, const amqp_frame_t *frame)
{
	const amqp_channel_close_t *close = frame->payload.method.decoded;
	amqp_rpc_reply_t reply = {.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION, .reply = frame->payload.method};
	char why[300];
	snprintf(why, sizeof why, "%s", kb_amqp_reason(reply));
	kb_amqp_put_method(&b->link.out, frame->channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	b->lookup.open = false;
	answer(b, close->reply_code == AMQP_NOT_FOUND, why);
}

bool kb_amqp_lookup_frame(struct kb_broker *b, const amqp_frame_t *frame)
{
	if (!b->lookup.open || frame->channel != channel_of(b) || frame->frame_type != AMQP_FRAME_METHOD)
		return false;
	if (frame->payload.method.id == AMQP_CHANNEL_CLOSE_METHOD)
		closed(b, frame);
	else if (frame->payload.method.id == AMQP_EXCHANGE_DECLARE_OK_METHOD)
		answer(b, false, NULL);
	amqp_maybe_release_buffers_on_channel(b->link.connection, frame->channel);
	return true;
}
