#include "amqp/lookup.h"

#include <stdio.h>
#include "amqp/bytes.h"
#include "amqp/channels.h"
#include "amqp/frames.h"
#include "amqp/reason.h"
#include "amqp/state.h"

enum kb_broker_result kb_amqp_lookup_exchange(struct kb_broker *b, struct kb_slice exchange)
{
	if (!b->link.connection)
		return KB_BROKER_LOST;
	amqp_channel_t channel = kb_amqp_channels_of_lookup(b);
	if (!channel)
		return KB_BROKER_INVALID;
	/* The broker reads frames in their order, so the declaration need not wait for the channel. */
	if (!b->lookup.open)
		b->lookup.open = kb_amqp_frames_put_method(
			&b->link.out, channel, AMQP_CHANNEL_OPEN_METHOD, &(amqp_channel_open_t){{0, NULL}});
	amqp_exchange_declare_t declare = {.exchange = kb_amqp_bytes_of(exchange), .passive = 1};
	b->lookup.sent =
		b->lookup.open && kb_amqp_frames_put_method(&b->link.out, channel, AMQP_EXCHANGE_DECLARE_METHOD, &declare);
	return b->lookup.sent ? KB_BROKER_OK : KB_BROKER_INVALID;
}

static void tell(struct kb_broker *b, bool missing, const char *why)
{
	bool sent = b->lookup.sent;
	b->lookup.sent = false;
	if (sent && b->events.publish.exchange)
		b->events.publish.exchange(b->events.context, missing, why);
}

static void closed(struct kb_broker *b, const amqp_frame_t *frame)
{
	const amqp_channel_close_t *close = frame->payload.method.decoded;
	char why[300];
	snprintf(why, sizeof why, "%s", kb_amqp_reason_in(frame));
	kb_amqp_frames_put_method(
		&b->link.out, frame->channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	b->lookup.open = false;
	tell(b, close->reply_code == AMQP_NOT_FOUND, why);
}

bool kb_amqp_lookup_frame(struct kb_broker *b, const amqp_frame_t *frame)
{
	if (!b->lookup.open || frame->channel != kb_amqp_channels_of_lookup(b) || frame->frame_type != AMQP_FRAME_METHOD)
		return false;
	if (frame->payload.method.id == AMQP_CHANNEL_CLOSE_METHOD)
		closed(b, frame);
	else if (frame->payload.method.id == AMQP_EXCHANGE_DECLARE_OK_METHOD)
		tell(b, false, NULL);
	amqp_maybe_release_buffers_on_channel(b->link.connection, frame->channel);
	return true;
}

void kb_amqp_lookup_clear(struct kb_broker *b)
{
	b->lookup.open = b->lookup.sent = false;
}
