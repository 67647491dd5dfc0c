/* What an AMQP broker says, frame by frame: confirms, deliveries, returns, closed channels. */
#include "amqp/state.h"

#include <stdio.h>
#include "amqp/frames.h"
#include "amqp/topology.h"
#include "bus/traffic.h"

/* On a connection that only consumes, nobody is there to be told of messages that were published. */
static bool has_publish_channel(const struct kb_broker *b)
{
	return b->publishing || b->renewing;
}

static enum kb_broker_result unexpected(struct kb_broker *b, const amqp_frame_t *frame)
{
	kb_log_limited(
		&b->odd, KB_LOG_WARNING, "amqp: unexpected method 0x%08x from %s", frame->payload.method.id, b->address);
	return KB_BROKER_OK;
}

static void confirmed(struct kb_broker *b, uint64_t tag, bool multiple, enum kb_outcome outcome)
{
	/* A tag of 0 with `multiple` means everything so far (1.8.3.13 of the reference). */
	uint64_t sequence = tag || !multiple ? b->sequence_base + tag : b->next_sequence - 1;
	b->events.publish.settled(b->events.context, sequence, multiple, outcome,
		outcome == KB_PENDING ? "the broker refused it (basic.nack)" : NULL);
}

/* The publish channel is closed. What was open on it is to be sent again. */
static enum kb_broker_result replace_publish_channel(struct kb_broker *b, enum kb_requeue_cause cause, const char *why)
{
	b->publishing = b->renewing = false;
	if (kb_amqp_checked(b, kb_amqp_link_flush_all(&b->link)) != KB_BROKER_OK)
		return KB_BROKER_LOST;
	const char *failed = kb_amqp_open_publish_channel(b);
	if (failed)
		return kb_amqp_lost(b, failed);
	b->events.publish.requeue(b->events.context, cause, why);
	return KB_BROKER_OK;
}

/* One of the messages on their way was not to the broker's liking, and with the channel all of them are gone. */
static enum kb_broker_result publish_channel_closed(struct kb_broker *b, const amqp_frame_t *frame, const char *why)
{
	const amqp_channel_close_t *close = frame->payload.method.decoded;
	enum kb_requeue_cause cause = close->reply_code == AMQP_NOT_FOUND ? KB_NO_EXCHANGE : KB_OFFENDED;
	char reason[300];
	snprintf(reason, sizeof reason, "%s", why);
	kb_amqp_put_method(
		&b->link.out, KB_AMQP_PUBLISH_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	return replace_publish_channel(b, cause, reason);
}

static enum kb_broker_result channel_closed(struct kb_broker *b, const amqp_frame_t *frame)
{
	amqp_rpc_reply_t reply = {.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION, .reply = frame->payload.method};
	const char *why = kb_amqp_reason(reply);
	if (frame->channel == KB_AMQP_PUBLISH_CHANNEL && has_publish_channel(b))
		return publish_channel_closed(b, frame, why);
	struct kb_amqp_question_channel *q = kb_amqp_question_channel_on(b, frame->channel);
	if (q) {
		kb_amqp_question_channel_closed(b, q, why);
		return KB_BROKER_OK;
	}
	kb_amqp_put_method(&b->link.out, frame->channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	struct kb_amqp_subscription *sub = kb_amqp_subscription_on(b, frame->channel);
	if (sub) {
		kb_log(KB_LOG_ERROR, "amqp: subscription to queue \"%s\" ended by the broker, next try in %d s: %s",
			sub->s->queue.name, KB_AMQP_RESUBSCRIBE_MS / 1000, why);
		kb_amqp_content_clear(&sub->incoming);
		sub->closing = false;
		kb_amqp_subscription_fell(b, sub, KB_AMQP_RESUBSCRIBE_MS, why);
	}
	return KB_BROKER_OK;
}

static enum kb_broker_result connection_closed(struct kb_broker *b, const amqp_frame_t *frame)
{
	const amqp_connection_close_t *close = frame->payload.method.decoded;
	amqp_rpc_reply_t reply = {.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION, .reply = frame->payload.method};
	char why[300];
	snprintf(why, sizeof why, "%s", kb_amqp_reason(reply));
	kb_amqp_put_method(&b->link.out, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &(amqp_connection_close_ok_t){0});
	/* 320 is an operator's doing; the 5xx are for something that we sent, perhaps one of the open messages, but for two
	 * that are for troubles of the broker's own. */
	bool failed = close->reply_code == AMQP_INTERNAL_ERROR || close->reply_code == AMQP_RESOURCE_ERROR;
	if (close->reply_code >= 500 && b->publishing)
		b->events.publish.requeue(b->events.context, failed ? KB_BROKER_FAILED : KB_OFFENDED, why);
	kb_amqp_link_flush(&b->link); /* the answer is a courtesy */
	return kb_amqp_lost(b, why);
}

/* The queue was deleted or its node went away; the channel stands. */
static void consumer_cancelled(struct kb_broker *b, const amqp_frame_t *frame)
{
	struct kb_amqp_subscription *sub = kb_amqp_subscription_on(b, frame->channel);
	if (!sub)
		return;
	kb_log(KB_LOG_ERROR, "amqp: queue \"%s\" is gone, subscribing again in %d s", sub->s->queue.name,
		KB_AMQP_RESUBSCRIBE_MS / 1000);
	amqp_channel_close_t close = {.reply_code = 200};
	kb_amqp_put_method(&b->link.out, frame->channel, AMQP_CHANNEL_CLOSE_METHOD, &close);
	sub->closing = true;
	kb_amqp_subscription_fell(b, sub, KB_AMQP_RESUBSCRIBE_MS, "the queue is gone");
}

/* The answer to amqp_count(), unless the subscription fell meanwhile. */
static void queue_counted(struct kb_broker *b, const amqp_frame_t *frame)
{
	const amqp_queue_declare_ok_t *declared = frame->payload.method.decoded;
	struct kb_amqp_subscription *sub = kb_amqp_subscription_on(b, frame->channel);
	if (!sub || !sub->counting)
		return;
	sub->counting = false;
	if (b->events.consume.counted)
		b->events.consume.counted(b->events.context, (uint32_t)(sub - b->subscriptions), declared->message_count);
}

/* The broker has nothing more to say on a channel that we closed. */
static enum kb_broker_result channel_ended(struct kb_broker *b, amqp_channel_t channel)
{
	struct kb_amqp_subscription *sub = kb_amqp_subscription_on(b, channel);
	if (sub)
		sub->closing = false;
	return channel == KB_AMQP_PUBLISH_CHANNEL && b->renewing ? replace_publish_channel(b, KB_RENEWED, NULL)
															 : KB_BROKER_OK;
}

static struct kb_amqp_content *incoming_on(struct kb_broker *b, amqp_channel_t channel)
{
	struct kb_amqp_subscription *sub = kb_amqp_subscription_on(b, channel);
	struct kb_amqp_question_channel *q = sub ? NULL : kb_amqp_question_channel_on(b, channel);
	return sub ? &sub->incoming : q ? &q->returned : &b->returned;
}

static void begin_delivery(struct kb_broker *b, const amqp_frame_t *frame)
{
	const amqp_basic_deliver_t *deliver = frame->payload.method.decoded;
	struct kb_amqp_subscription *sub = kb_amqp_subscription_on(b, frame->channel);
	struct kb_amqp_content *in = incoming_on(b, frame->channel);
	uint32_t generation = sub ? sub->generation : 0;
	kb_amqp_content_begin(in, !generation);
	in->m = (struct kb_message){.exchange = kb_amqp_slice(deliver->exchange),
		.key = kb_amqp_slice(deliver->routing_key),
		.origin = {.tag = deliver->delivery_tag,
			.subscription = (uint32_t)(frame->channel - KB_AMQP_FIRST_SUBSCRIPTION_CHANNEL),
			.generation = generation,
			.broker = b->config->index,
			.flags = deliver->redelivered ? KB_REDELIVERED : 0}};
}

/* Its content is still to come. */
static void begin_return(struct kb_broker *b, const amqp_frame_t *frame)
{
	const amqp_basic_return_t *r = frame->payload.method.decoded;
	struct kb_amqp_question_channel *q = kb_amqp_question_channel_on(b, frame->channel);
	if (q) {
		kb_amqp_content_begin(&q->returned, false);
		return;
	}
	kb_amqp_content_begin(&b->returned, !b->events.publish.returned);
	kb_traffic_note(b->config->traffic, returned);
	b->back.expected = b->events.publish.returned != NULL;
	kb_buf_clear(&b->back.exchange);
	kb_buf_clear(&b->back.key);
	kb_buf_append_slice(&b->back.exchange, kb_amqp_slice(r->exchange));
	kb_buf_append_slice(&b->back.key, kb_amqp_slice(r->routing_key));
	snprintf(
		b->back.reason, sizeof b->back.reason, "%u %.*s", r->reply_code, KB_SLICE_FMT(kb_amqp_slice(r->reply_text)));
}

static void blocked(struct kb_broker *b, const amqp_connection_blocked_t *blocked)
{
	char reason[300] = "";
	if (blocked)
		snprintf(reason, sizeof reason, "%.*s", KB_SLICE_FMT(kb_amqp_slice(blocked->reason)));
	if (blocked)
		kb_log(KB_LOG_WARNING, "amqp: %s accepts no messages for now (connection.blocked): %s", b->address, reason);
	else
		kb_log(KB_LOG_NOTICE, "amqp: %s accepts messages again", b->address);
	kb_traffic_state(
		b->config->traffic, blocked ? KB_CONNECTION_BLOCKED : KB_CONNECTION_OPEN, b->address, blocked ? reason : NULL);
	if (b->events.blocked)
		b->events.blocked(b->events.context, blocked != NULL, blocked ? reason : NULL);
}

static enum kb_broker_result method(struct kb_broker *b, const amqp_frame_t *frame)
{
	void *fields = frame->payload.method.decoded;
	switch (frame->payload.method.id) {
	case AMQP_BASIC_ACK_METHOD: {
		const amqp_basic_ack_t *ack = fields;
		if (!has_publish_channel(b))
			return unexpected(b, frame);
		confirmed(b, ack->delivery_tag, ack->multiple, KB_DONE);
		return KB_BROKER_OK;
	}
	case AMQP_BASIC_NACK_METHOD: {
		const amqp_basic_nack_t *nack = fields;
		if (!has_publish_channel(b))
			return unexpected(b, frame);
		confirmed(b, nack->delivery_tag, nack->multiple, KB_PENDING);
		return KB_BROKER_OK;
	}
	case AMQP_BASIC_DELIVER_METHOD: begin_delivery(b, frame); return KB_BROKER_OK;
	case AMQP_BASIC_RETURN_METHOD: begin_return(b, frame); return KB_BROKER_OK;
	case AMQP_BASIC_CANCEL_METHOD: consumer_cancelled(b, frame); return KB_BROKER_OK;
	case AMQP_QUEUE_DECLARE_OK_METHOD: queue_counted(b, frame); return KB_BROKER_OK;
	case AMQP_CHANNEL_CLOSE_METHOD: return channel_closed(b, frame);
	case AMQP_CONNECTION_CLOSE_METHOD: return connection_closed(b, frame);
	case AMQP_CONNECTION_BLOCKED_METHOD: blocked(b, fields); return KB_BROKER_OK;
	case AMQP_CONNECTION_UNBLOCKED_METHOD: blocked(b, NULL); return KB_BROKER_OK;
	case AMQP_CHANNEL_CLOSE_OK_METHOD: return channel_ended(b, frame->channel);
	case AMQP_CHANNEL_OPEN_OK_METHOD: return KB_BROKER_OK; /* of a question channel */
	default: return unexpected(b, frame);
	}
}

static void tell_too_large(struct kb_broker *b, const struct kb_amqp_content *in)
{
	if (b->events.consume.too_large)
		b->events.consume.too_large(b->events.context, &in->m, in->expected);
	else
		kb_log_limited(&b->too_large, KB_LOG_ERROR,
			"amqp: message of %zu bytes with routing key \"%.*s\" dropped: larger than the inbox takes (%zu bytes)",
			in->expected, KB_SLICE_FMT(in->m.key), b->config->message_max);
}

static void refuse_too_large(struct kb_broker *b, struct kb_amqp_content *in)
{
	in->discard = true;
	if (in == &b->returned)
		return;
	tell_too_large(b, in);
	kb_traffic_drop(b->config->traffic, &in->m.origin, KB_DROP_TOO_LARGE);
	if (!b->subscriptions[in->m.origin.subscription].s->no_ack)
		kb_amqp_settle(b, &in->m.origin, KB_REJECTED);
}

static void finish_return(struct kb_broker *b)
{
	struct kb_message *m = &b->returned.m;
	m->exchange = kb_buf_slice(&b->back.exchange);
	m->key = kb_buf_slice(&b->back.key);
	if (b->back.expected && !b->returned.body.failed)
		b->events.publish.returned(b->events.context, m, b->back.reason);
	b->back.expected = false;
}

/* Hands over a complete content. False: nobody has room, and it is held. */
static bool finish(struct kb_broker *b, struct kb_amqp_content *in, amqp_channel_t channel)
{
	bool is_return = in == &b->returned, wanted = !is_return && !in->discard && !in->body.failed;
	if (is_return)
		finish_return(b);
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

static enum kb_broker_result content_frame(struct kb_broker *b, const amqp_frame_t *frame, unsigned *delivered)
{
	struct kb_amqp_content *in = incoming_on(b, frame->channel);
	struct kb_amqp_question_channel *q = kb_amqp_question_channel_on(b, frame->channel);
	bool header = frame->frame_type == AMQP_FRAME_HEADER;
	bool complete = header ? kb_amqp_content_header(in, frame) : kb_amqp_content_body(in, frame);
	if (header && q && in->active) {
		kb_amqp_question_returned(b, q);
		in->discard = true; /* its properties say which one it is */
	}
	if (header && in->active && !in->discard && in->expected > b->config->message_max)
		refuse_too_large(b, in);
	if (complete) {
		++*delivered;
		return finish(b, in, frame->channel) ? KB_BROKER_OK : KB_BROKER_AGAIN;
	}
	if (in->discard || !in->active) /* however long it is, it takes the memory of one frame */
		amqp_maybe_release_buffers_on_channel(b->link.connection, frame->channel);
	return KB_BROKER_OK;
}

static enum kb_broker_result method_frame(struct kb_broker *b, const amqp_frame_t *frame)
{
	struct kb_amqp_content *in = incoming_on(b, frame->channel);
	in->useless += in->active; /* inside a content there are none on its channel */
	enum kb_broker_result result = method(b, frame);
	if (result == KB_BROKER_OK && !incoming_on(b, frame->channel)->active)
		amqp_maybe_release_buffers_on_channel(b->link.connection, frame->channel);
	return result;
}

/* Handles one frame; *delivered counts contents. */
enum kb_broker_result kb_amqp_dispatch(struct kb_broker *b, const amqp_frame_t *frame, unsigned *delivered)
{
	enum kb_broker_result result = KB_BROKER_OK;
	if (kb_amqp_lookup_frame(b, frame))
		return KB_BROKER_OK;
	if (frame->frame_type == AMQP_FRAME_HEADER || frame->frame_type == AMQP_FRAME_BODY)
		result = content_frame(b, frame, delivered);
	else if (frame->frame_type == AMQP_FRAME_METHOD)
		result = method_frame(b, frame);
	if (result == KB_BROKER_OK && incoming_on(b, frame->channel)->useless > KB_AMQP_USELESS_MAX)
		return kb_amqp_lost(b, "the broker begins messages and does not end them");
	return result;
}

bool kb_amqp_offer_held(struct kb_broker *b)
{
	struct kb_amqp_content *in = b->held;
	if (!in)
		return true;
	b->held = NULL;
	return finish(b, in, kb_amqp_channel_of(in->m.origin.subscription));
}
