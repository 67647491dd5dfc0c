#include "amqp/incoming.h"

#include <stdio.h>
#include "amqp/bytes.h"
#include "amqp/channels.h"
#include "amqp/connection.h"
#include "amqp/frames.h"
#include "amqp/lookup.h"
#include "amqp/publishing.h"
#include "amqp/reason.h"
#include "amqp/requests.h"
#include "amqp/state.h"
#include "amqp/subscriptions.h"
#include "bus/traffic.h"

/* Whose channel a frame is on: a subscription's, one of requests, or neither, which has both NULL. `in` is what comes
 * in there. */
struct channel {
	struct kb_amqp_subscription *sub;
	struct kb_amqp_request_channel *requests;
	struct kb_amqp_content *in;
};

static struct channel channel_on(struct kb_broker *b, amqp_channel_t number)
{
	struct channel c = {.sub = kb_amqp_subscriptions_on(b, number)};
	if (!c.sub)
		c.requests = kb_amqp_requests_on(b, number);
	c.in = c.sub ? &c.sub->incoming : c.requests ? &c.requests->returned : &b->publishing.returned;
	return c;
}

/* -- what ends a channel or the connection -- */

static enum kb_broker_result channel_closed(struct kb_broker *b, const struct channel *c, const amqp_frame_t *frame)
{
	if (kb_amqp_publishing_on(b, frame->channel))
		return kb_amqp_publishing_closed(b, frame);
	const char *why = kb_amqp_reason_in(frame);
	if (c->requests)
		kb_amqp_requests_closed(b, c->requests, why);
	else if (c->sub)
		kb_amqp_subscriptions_closed(b, c->sub, why);
	else
		kb_amqp_frames_put_method(
			&b->link.out, frame->channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	return KB_BROKER_OK;
}

/* The broker has nothing more to say on a channel that we closed. */
static enum kb_broker_result channel_ended(struct kb_broker *b, const struct channel *c, const amqp_frame_t *frame)
{
	if (c->sub)
		kb_amqp_subscriptions_ended(c->sub);
	return frame->channel == KB_AMQP_CHANNELS_PUBLISH ? kb_amqp_publishing_ended(b) : KB_BROKER_OK;
}

static enum kb_broker_result connection_closed(struct kb_broker *b, const amqp_frame_t *frame)
{
	const amqp_connection_close_t *close = frame->payload.method.decoded;
	char why[300];
	snprintf(why, sizeof why, "%s", kb_amqp_reason_in(frame));
	kb_amqp_frames_put_method(&b->link.out, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &(amqp_connection_close_ok_t){0});
	kb_amqp_publishing_lost(b, close->reply_code, why);
	kb_amqp_link_flush(&b->link); /* the answer is a courtesy */
	return kb_amqp_connection_lost(b, why);
}

static void blocked(struct kb_broker *b, const amqp_connection_blocked_t *blocked)
{
	char reason[300] = "";
	if (blocked)
		snprintf(reason, sizeof reason, "%.*s", KB_SLICE_FMT(kb_amqp_bytes_slice(blocked->reason)));
	if (blocked)
		kb_log(KB_LOG_WARNING, "amqp: %s blocks publishing (connection.blocked): %s", b->address, reason);
	else
		kb_log(KB_LOG_NOTICE, "amqp: %s accepts messages again (connection.unblocked)", b->address);
	kb_traffic_state(
		b->config->traffic, blocked ? KB_CONNECTION_BLOCKED : KB_CONNECTION_OPEN, b->address, blocked ? reason : NULL);
	if (b->events.blocked)
		b->events.blocked(b->events.context, blocked != NULL, blocked ? reason : NULL);
}

/* -- methods -- */

static enum kb_broker_result unexpected(struct kb_broker *b, const amqp_frame_t *frame)
{
	kb_log_limited(&b->odd, KB_LOG_WARNING, "amqp: ignoring unexpected method 0x%08x from %s", frame->payload.method.id,
		b->address);
	return KB_BROKER_OK;
}

static enum kb_broker_result confirmed(struct kb_broker *b, const amqp_frame_t *frame)
{
	const amqp_basic_ack_t *ack = frame->payload.method.decoded;
	const amqp_basic_nack_t *nack = frame->payload.method.decoded;
	if (!kb_amqp_publishing_on(b, KB_AMQP_CHANNELS_PUBLISH))
		return unexpected(b, frame);
	if (frame->payload.method.id == AMQP_BASIC_ACK_METHOD)
		kb_amqp_publishing_confirmed(b, ack->delivery_tag, ack->multiple, KB_DONE);
	else
		kb_amqp_publishing_confirmed(b, nack->delivery_tag, nack->multiple, KB_PENDING);
	return KB_BROKER_OK;
}

static void queue_counted(struct kb_broker *b, const struct channel *c, const amqp_frame_t *frame)
{
	const amqp_queue_declare_ok_t *declared = frame->payload.method.decoded;
	if (c->sub)
		kb_amqp_subscriptions_counted(b, c->sub, declared->message_count);
}

static void begin_delivery(struct kb_broker *b, const struct channel *c, const amqp_frame_t *frame)
{
	const amqp_basic_deliver_t *deliver = frame->payload.method.decoded;
	uint32_t generation = c->sub ? c->sub->generation : 0;
	kb_amqp_content_begin(c->in, !generation);
	c->in->m = (struct kb_message){.exchange = kb_amqp_bytes_slice(deliver->exchange),
		.key = kb_amqp_bytes_slice(deliver->routing_key),
		.origin = {.tag = deliver->delivery_tag,
			.subscription = c->sub ? (uint32_t)(c->sub - b->subscriptions) : 0,
			.generation = generation,
			.broker = b->config->index,
			.flags = deliver->redelivered ? KB_REDELIVERED : 0}};
}

/* Its content is still to come. */
static void begin_return(struct kb_broker *b, const struct channel *c, const amqp_frame_t *frame)
{
	if (c->requests)
		kb_amqp_content_begin(c->in, false);
	else
		kb_amqp_publishing_begin_return(b, frame);
}

static enum kb_broker_result method(struct kb_broker *b, const struct channel *c, const amqp_frame_t *frame)
{
	switch (frame->payload.method.id) {
	case AMQP_BASIC_ACK_METHOD:
	case AMQP_BASIC_NACK_METHOD: return confirmed(b, frame);
	case AMQP_BASIC_DELIVER_METHOD: begin_delivery(b, c, frame); break;
	case AMQP_BASIC_RETURN_METHOD: begin_return(b, c, frame); break;
	case AMQP_BASIC_CANCEL_METHOD:
		if (c->sub)
			kb_amqp_subscriptions_cancelled(b, c->sub);
		break;
	case AMQP_QUEUE_DECLARE_OK_METHOD: queue_counted(b, c, frame); break;
	case AMQP_CHANNEL_CLOSE_METHOD: return channel_closed(b, c, frame);
	case AMQP_CHANNEL_CLOSE_OK_METHOD: return channel_ended(b, c, frame);
	case AMQP_CONNECTION_CLOSE_METHOD: return connection_closed(b, frame);
	case AMQP_CONNECTION_BLOCKED_METHOD: blocked(b, frame->payload.method.decoded); break;
	case AMQP_CONNECTION_UNBLOCKED_METHOD: blocked(b, NULL); break;
	case AMQP_CHANNEL_OPEN_OK_METHOD: break; /* of a request channel */
	default: return unexpected(b, frame);
	}
	return KB_BROKER_OK;
}

static enum kb_broker_result method_frame(struct kb_broker *b, const struct channel *c, const amqp_frame_t *frame)
{
	c->in->useless += c->in->active; /* inside a content there are none on its channel */
	enum kb_broker_result result = method(b, c, frame);
	if (result == KB_BROKER_OK && !c->in->active)
		amqp_maybe_release_buffers_on_channel(b->link.connection, frame->channel);
	return result;
}

/* -- contents -- */

static void tell_too_large(struct kb_broker *b, const struct kb_amqp_content *in)
{
	if (b->events.consume.too_large)
		b->events.consume.too_large(b->events.context, &in->m, in->expected);
	else
		kb_log_limited(&b->too_large, KB_LOG_ERROR,
			"amqp: discarding message of %zu bytes with routing key \"%.*s\": the inbox is limited to %zu bytes",
			in->expected, KB_SLICE_FMT(in->m.key), b->config->message_max);
}

static void refuse_too_large(struct kb_broker *b, struct kb_amqp_content *in)
{
	in->discard = true;
	if (in == &b->publishing.returned)
		return;
	tell_too_large(b, in);
	kb_traffic_drop(b->config->traffic, &in->m.origin, KB_DROP_TOO_LARGE);
	if (!b->subscriptions[in->m.origin.subscription].s->no_ack)
		kb_amqp_subscriptions_settle(b, &in->m.origin, KB_REJECTED);
}

/* Hands over a complete content. False: nobody has room, and it is held. */
static bool finish(struct kb_broker *b, struct kb_amqp_content *in, amqp_channel_t channel)
{
	bool is_return = in == &b->publishing.returned, wanted = !is_return && !in->discard && !in->body.failed;
	if (is_return)
		kb_amqp_publishing_finish_return(b);
	if (wanted && !b->events.consume.delivered(b->events.context, &in->m)) {
		b->held = in;
		return false;
	}
	if (wanted)
		kb_traffic_delivered(b->config->traffic, &in->m);
	kb_amqp_content_clear(in);
	amqp_maybe_release_buffers_on_channel(b->link.connection, channel);
	return true;
}

static void content_announced(struct kb_broker *b, const struct channel *c)
{
	if (c->requests) {
		kb_amqp_requests_returned(b, c->requests);
		c->in->discard = true; /* its properties say which request it is */
	}
	if (!c->in->discard && c->in->expected > b->config->message_max)
		refuse_too_large(b, c->in);
}

static enum kb_broker_result content_frame(
	struct kb_broker *b, const struct channel *c, const amqp_frame_t *frame, unsigned *delivered)
{
	bool header = frame->frame_type == AMQP_FRAME_HEADER;
	bool complete = header ? kb_amqp_content_header(c->in, frame) : kb_amqp_content_body(c->in, frame);
	if (header && c->in->active)
		content_announced(b, c);
	if (complete) {
		++*delivered;
		return finish(b, c->in, frame->channel) ? KB_BROKER_OK : KB_BROKER_AGAIN;
	}
	if (c->in->discard || !c->in->active || kb_amqp_content_detach(c->in)) /* it takes the memory of one frame */
		amqp_maybe_release_buffers_on_channel(b->link.connection, frame->channel);
	return KB_BROKER_OK;
}

enum kb_broker_result kb_amqp_incoming_frame(struct kb_broker *b, const amqp_frame_t *frame, unsigned *delivered)
{
	enum kb_broker_result result = KB_BROKER_OK;
	if (kb_amqp_lookup_frame(b, frame))
		return KB_BROKER_OK;
	struct channel c = channel_on(b, frame->channel);
	if (frame->frame_type == AMQP_FRAME_HEADER || frame->frame_type == AMQP_FRAME_BODY)
		result = content_frame(b, &c, frame, delivered);
	else if (frame->frame_type == AMQP_FRAME_METHOD)
		result = method_frame(b, &c, frame);
	if (result == KB_BROKER_OK && c.in->useless > KB_AMQP_USELESS_MAX)
		return kb_amqp_connection_lost(b, "incomplete message content");
	return result;
}

bool kb_amqp_incoming_offer_held(struct kb_broker *b)
{
	struct kb_amqp_content *in = b->held;
	if (!in)
		return true;
	b->held = NULL;
	return finish(b, in, kb_amqp_channels_of_subscription(in->m.origin.subscription));
}
