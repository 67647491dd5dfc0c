/* AMQP 0-9-1 behind broker.h: channels, subscriptions, confirms, acknowledgements. */
#include "broker/broker.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include "broker/amqp_content.h"
#include "broker/amqp_frames.h"
#include "broker/amqp_link.h"
#include "broker/amqp_topology.h"
#include "broker/amqp_url.h"
#include "broker/traffic.h"
#include "core/log.h"

enum {
	PUBLISH_CHANNEL = 1,
	QUESTION_CHANNEL = 2, /* without confirms: a question's confirm is its answer */
	FIRST_SUBSCRIPTION_CHANNEL = 3,
	OUT_HIGH = 256 * 1024, /* bytes waiting for the socket above which publish() takes no more */
	RESUBSCRIBE_MS = 2000
};

struct subscription {
	const struct kb_subscription *s;
	struct kb_amqp_content incoming;
	uint64_t retry_at;   /* ms; 0 while it stands */
	uint32_t generation; /* of its channel: a tag means nothing on the next one; 0: the channel is closed */
	bool closing;        /* we closed the channel, and its end is still to come */
};

struct kb_broker {
	const struct kb_broker_config *config;
	struct kb_broker_events events;
	struct kb_amqp_address *addresses;
	size_t n_addresses, current;

	struct kb_amqp_link link;
	char address[300]; /* "host:port" */

	uint64_t next_sequence;
	uint64_t sequence_base;          /* sequence of the message before delivery tag 1 of this channel */
	bool publishing;                 /* the publish channel is open */
	struct kb_amqp_content returned; /* or a delivery that is for nobody */
	struct {
		bool expected;               /* the content under way is that of a return */
		struct kb_buf exchange, key; /* copies: what belongs to a long content is released before its end */
		char reason[300];
	} back;

	struct subscription *subscriptions;
	size_t n_subscriptions;
	struct kb_amqp_content
		*held; /* complete, and refused by delivered(): to be offered again before anything is read */

	struct kb_log_limit too_large, refused, bad_questions, odd;
};

static const struct kb_amqp_address *address_of(const struct kb_broker *b)
{
	return &b->addresses[b->current];
}

/* -- the connection -- */

/* Ends the connection without a word to the broker. */
static void drop(struct kb_broker *b)
{
	kb_amqp_link_drop(&b->link);
	b->publishing = false;
	b->held = NULL;
	b->back.expected = false;
	kb_amqp_content_clear(&b->returned);
	for (size_t i = 0; i < b->n_subscriptions; i++) {
		kb_amqp_content_clear(&b->subscriptions[i].incoming);
		b->subscriptions[i].s = NULL;
		b->subscriptions[i].generation = 0;
		b->subscriptions[i].closing = false;
	}
}

static enum kb_broker_result lost(struct kb_broker *b, const char *why)
{
	why = kb_amqp_link_reason(&b->link, why);
	kb_log(KB_LOG_WARNING, "amqp: connection to %s lost: %s", b->address, why);
	kb_traffic_state(b->config->traffic, KB_CONNECTION_CLOSED, b->address, why);
	drop(b);
	return KB_BROKER_LOST;
}

/* Passes on what a call of the link says. */
static enum kb_broker_result checked(struct kb_broker *b, const char *why)
{
	return why ? lost(b, why) : KB_BROKER_OK;
}

static const char *open_question_channel(struct kb_broker *b)
{
	amqp_channel_open(b->link.connection, QUESTION_CHANNEL);
	amqp_rpc_reply_t reply = amqp_get_rpc_reply(b->link.connection);
	return reply.reply_type == AMQP_RESPONSE_NORMAL ? NULL : kb_amqp_reason(reply);
}

static const char *open_publish_channel(struct kb_broker *b)
{
	amqp_channel_open(b->link.connection, PUBLISH_CHANNEL);
	amqp_rpc_reply_t reply = amqp_get_rpc_reply(b->link.connection);
	if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
		amqp_confirm_select(b->link.connection, PUBLISH_CHANNEL);
		reply = amqp_get_rpc_reply(b->link.connection);
	}
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		return kb_amqp_reason(reply);
	b->sequence_base = b->next_sequence - 1;
	b->publishing = true;
	return NULL;
}

static enum kb_broker_result amqp_connect(struct kb_broker *b)
{
	drop(b);
	b->current = (b->current + 1) % b->n_addresses;
	const struct kb_amqp_address *a = address_of(b);
	snprintf(b->address, sizeof b->address, "%s:%d", a->host, a->port);
	kb_traffic_state(b->config->traffic, KB_CONNECTION_CONNECTING, b->address, NULL);
	const char *why = kb_amqp_link_open(&b->link, a, b->config);
	if (!why && (b->config->role & KB_ROLE_PUBLISH))
		why = open_publish_channel(b);
	if (!why && (b->config->role & KB_ROLE_PUBLISH))
		why = open_question_channel(b);
	if (why) {
		kb_log(KB_LOG_ERROR, "amqp: cannot connect to %s vhost %s as user %s: %s", b->address, a->vhost, a->user, why);
		kb_traffic_state(b->config->traffic, KB_CONNECTION_CLOSED, b->address, why);
		drop(b);
		return KB_BROKER_LOST;
	}
	kb_traffic_state(b->config->traffic, KB_CONNECTION_OPEN, b->address, NULL);
	kb_log(KB_LOG_NOTICE, "amqp: connected to %s vhost %s as user %s (%s)", b->address, a->vhost, a->user,
		b->config->client_name);
	return KB_BROKER_OK;
}

static const char *amqp_address(const struct kb_broker *b)
{
	return b->address;
}

/* -- subscriptions -- */

static amqp_channel_t channel_of(size_t subscription)
{
	return (amqp_channel_t)(FIRST_SUBSCRIPTION_CHANNEL + subscription);
}

static struct subscription *subscription_on(struct kb_broker *b, amqp_channel_t channel)
{
	size_t index = (size_t)channel - FIRST_SUBSCRIPTION_CHANNEL;
	return channel >= FIRST_SUBSCRIPTION_CHANNEL && index < b->n_subscriptions && b->subscriptions[index].s
			   ? &b->subscriptions[index]
			   : NULL;
}

static struct subscription *subscription_slot(struct kb_broker *b, uint32_t index)
{
	if (index >= b->n_subscriptions) {
		struct subscription *more = realloc(b->subscriptions, (index + 1) * sizeof *more);
		if (!more)
			return NULL;
		memset(more + b->n_subscriptions, 0, (index + 1 - b->n_subscriptions) * sizeof *more);
		b->subscriptions = more;
		b->n_subscriptions = index + 1;
	}
	return &b->subscriptions[index];
}

static void subscription_stands(struct kb_broker *b, struct subscription *sub, uint32_t waiting)
{
	static uint32_t generations; /* shared by all brokers of a process: a stale origin never matches by chance */
	sub->generation = ++generations;
	kb_log(KB_LOG_INFO, "amqp: consuming queue \"%s\" of exchange \"%s\" from %s", sub->s->queue.name,
		sub->s->exchange.name, b->address);
	if (b->events.waiting)
		b->events.waiting(b->events.context, (uint32_t)(sub - b->subscriptions), waiting);
}

/* Its channel is closed or about to be: what came on it can no longer be acknowledged. */
static void subscription_fell(struct subscription *sub)
{
	sub->generation = 0;
	sub->retry_at = kb_amqp_now_ms() + RESUBSCRIBE_MS;
}

static enum kb_broker_result start_subscription(struct kb_broker *b, struct subscription *sub)
{
	struct kb_amqp_declared declared;
	amqp_channel_t channel = channel_of((size_t)(sub - b->subscriptions));
	if (checked(b, kb_amqp_link_flush_all(&b->link)) != KB_BROKER_OK)
		return KB_BROKER_LOST;
	bool stands = kb_amqp_topology(b->link.connection, channel, sub->s, &declared);
	b->link.out_at = kb_amqp_now_ms();
	sub->retry_at = 0;
	kb_traffic_subscription(b->config->traffic, (uint32_t)(sub - b->subscriptions), stands ? NULL : declared.error);
	if (stands) {
		subscription_stands(b, sub, declared.waiting);
		return KB_BROKER_OK;
	}
	kb_log(KB_LOG_ERROR, "amqp: subscription to queue \"%s\" of exchange \"%s\" failed, next try in %d s: %s",
		sub->s->queue.name, sub->s->exchange.name, RESUBSCRIBE_MS / 1000, declared.error);
	if (declared.connection_lost)
		return lost(b, "while subscribing");
	kb_amqp_put_method(&b->link.out, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	subscription_fell(sub);
	return KB_BROKER_INVALID;
}

static enum kb_broker_result amqp_subscribe(struct kb_broker *b, const struct kb_subscription *s, uint32_t index)
{
	if (!b->link.connection)
		return KB_BROKER_LOST;
	struct subscription *sub = subscription_slot(b, index);
	if (!sub)
		return KB_BROKER_INVALID;
	sub->s = s;
	return start_subscription(b, sub);
}

static bool retry_due(const struct subscription *sub)
{
	return sub->s && sub->retry_at && !sub->closing && sub->retry_at <= kb_amqp_now_ms();
}

/* Not while a message is held: an answer of the broker would stand behind all that it has sent, and the library would
 * have to keep that. */
static enum kb_broker_result retry_subscriptions(struct kb_broker *b)
{
	for (size_t i = 0; i < b->n_subscriptions && !b->held; i++)
		if (retry_due(&b->subscriptions[i]) && start_subscription(b, &b->subscriptions[i]) == KB_BROKER_LOST)
			return KB_BROKER_LOST;
	return KB_BROKER_OK;
}

/* -- publishing and acknowledging -- */

static enum kb_broker_result amqp_publish(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence)
{
	if (!b->link.connection || !b->publishing)
		return KB_BROKER_LOST;
	if (kb_amqp_link_waiting(&b->link) > OUT_HIGH)
		return KB_BROKER_AGAIN;
	bool question = m->origin.flags & KB_EXPIRES;
	if (!kb_amqp_put_publish(&b->link.out, question ? QUESTION_CHANNEL : PUBLISH_CHANNEL, m,
			(size_t)amqp_get_frame_max(b->link.connection))) {
		kb_log_limited(&b->refused, KB_LOG_ERROR,
			"amqp: message dropped: exchange \"%.*s\", routing key \"%.*s\" (%zu bytes) or its headers are longer than "
			"the "
			"protocol allows",
			KB_SLICE_FMT(m->exchange), KB_SLICE_FMT(m->key), m->key.n);
		return KB_BROKER_INVALID;
	}
	*sequence = question ? 0 : b->next_sequence++;
	kb_traffic_sent(b->config->traffic, m->payload.n);
	return KB_BROKER_OK;
}

static enum kb_broker_result amqp_settle(struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome)
{
	if (!b->link.connection)
		return KB_BROKER_LOST;
	const struct subscription *sub = subscription_on(b, channel_of(origin->subscription));
	if (!sub || !sub->generation || origin->generation != sub->generation)
		return KB_BROKER_OK;
	amqp_channel_t channel = channel_of(origin->subscription);
	kb_traffic_settled(b->config->traffic, origin, outcome);
	if (outcome == KB_DONE)
		kb_amqp_put_method(&b->link.out, channel, AMQP_BASIC_ACK_METHOD, &(amqp_basic_ack_t){origin->tag, 0});
	else
		kb_amqp_put_method(&b->link.out, channel, AMQP_BASIC_REJECT_METHOD,
			&(amqp_basic_reject_t){origin->tag, outcome == KB_REQUEUE});
	return KB_BROKER_OK;
}

/* -- what the broker says -- */

static void confirmed(struct kb_broker *b, uint64_t tag, bool multiple, enum kb_outcome outcome)
{
	/* A tag of 0 with `multiple` means everything so far (1.8.3.13 of the reference). */
	uint64_t sequence = tag || !multiple ? b->sequence_base + tag : b->next_sequence - 1;
	b->events.settled(b->events.context, sequence, multiple, outcome,
		outcome == KB_REJECTED ? "the broker refused it (basic.nack)" : NULL);
}

/* One of the messages on their way was not to the broker's liking, and with the channel all of them are gone. */
static enum kb_broker_result publish_channel_closed(struct kb_broker *b, const char *why)
{
	char reason[300];
	snprintf(reason, sizeof reason, "%s", why);
	b->publishing = false;
	kb_amqp_put_method(&b->link.out, PUBLISH_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	if (checked(b, kb_amqp_link_flush_all(&b->link)) != KB_BROKER_OK)
		return KB_BROKER_LOST;
	const char *failed = open_publish_channel(b);
	if (failed)
		return lost(b, failed);
	b->events.settled(b->events.context, b->next_sequence - 1, true, KB_REQUEUE, reason);
	return KB_BROKER_OK;
}

/* A question was not to the broker's liking: its asker finds out at the deadline, the others are asked again by nobody.
 */
static enum kb_broker_result question_channel_closed(struct kb_broker *b, const char *why)
{
	kb_log_limited(&b->bad_questions, KB_LOG_ERROR, "amqp: a question was refused by %s: %s", b->address, why);
	kb_amqp_put_method(&b->link.out, QUESTION_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	if (checked(b, kb_amqp_link_flush_all(&b->link)) != KB_BROKER_OK)
		return KB_BROKER_LOST;
	return checked(b, open_question_channel(b));
}

static enum kb_broker_result channel_closed(struct kb_broker *b, const amqp_frame_t *frame)
{
	amqp_rpc_reply_t reply = {.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION, .reply = frame->payload.method};
	const char *why = kb_amqp_reason(reply);
	if (frame->channel == PUBLISH_CHANNEL)
		return publish_channel_closed(b, why);
	if (frame->channel == QUESTION_CHANNEL)
		return question_channel_closed(b, why);
	kb_amqp_put_method(&b->link.out, frame->channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	struct subscription *sub = subscription_on(b, frame->channel);
	if (sub) {
		kb_log(KB_LOG_ERROR, "amqp: subscription to queue \"%s\" ended by the broker, next try in %d s: %s",
			sub->s->queue.name, RESUBSCRIBE_MS / 1000, why);
		kb_traffic_subscription(b->config->traffic, (uint32_t)(sub - b->subscriptions), why);
		kb_amqp_content_clear(&sub->incoming);
		sub->closing = false;
		subscription_fell(sub);
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
	/* 320 is an operator's doing; the 5xx are for something that we sent, perhaps one of the open messages. */
	if (close->reply_code >= 500 && b->publishing)
		b->events.settled(b->events.context, b->next_sequence - 1, true, KB_REQUEUE, why);
	kb_amqp_link_flush(&b->link); /* the answer is a courtesy */
	return lost(b, why);
}

/* The queue was deleted or its node went away; the channel stands. */
static void consumer_cancelled(struct kb_broker *b, const amqp_frame_t *frame)
{
	struct subscription *sub = subscription_on(b, frame->channel);
	if (!sub)
		return;
	kb_log(KB_LOG_ERROR, "amqp: queue \"%s\" is gone, subscribing again in %d s", sub->s->queue.name,
		RESUBSCRIBE_MS / 1000);
	kb_traffic_subscription(b->config->traffic, (uint32_t)(sub - b->subscriptions), "the queue is gone");
	amqp_channel_close_t close = {.reply_code = 200};
	kb_amqp_put_method(&b->link.out, frame->channel, AMQP_CHANNEL_CLOSE_METHOD, &close);
	sub->closing = true;
	subscription_fell(sub);
}

/* The broker has nothing more to say on a channel that we closed. */
static void channel_ended(struct kb_broker *b, amqp_channel_t channel)
{
	struct subscription *sub = subscription_on(b, channel);
	if (sub)
		sub->closing = false;
}

static void begin_delivery(struct kb_broker *b, const amqp_frame_t *frame)
{
	const amqp_basic_deliver_t *deliver = frame->payload.method.decoded;
	struct subscription *sub = subscription_on(b, frame->channel);
	struct kb_amqp_content *in = sub ? &sub->incoming : &b->returned;
	uint32_t generation = sub ? sub->generation : 0;
	kb_amqp_content_begin(in, !generation);
	in->m = (struct kb_message){.exchange = kb_amqp_slice(deliver->exchange),
		.key = kb_amqp_slice(deliver->routing_key),
		.origin = {.tag = deliver->delivery_tag,
			.subscription = (uint32_t)(frame->channel - FIRST_SUBSCRIPTION_CHANNEL),
			.generation = generation,
			.broker = b->config->index,
			.flags = deliver->redelivered ? KB_REDELIVERED : 0}};
}

/* Its content is still to come. */
static void begin_return(struct kb_broker *b, const amqp_basic_return_t *r)
{
	kb_amqp_content_begin(&b->returned, !b->events.returned);
	kb_traffic_note(b->config->traffic, returned);
	b->back.expected = b->events.returned != NULL;
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
		confirmed(b, ack->delivery_tag, ack->multiple, KB_DONE);
		return KB_BROKER_OK;
	}
	case AMQP_BASIC_NACK_METHOD: {
		const amqp_basic_nack_t *nack = fields;
		confirmed(b, nack->delivery_tag, nack->multiple, KB_REJECTED);
		return KB_BROKER_OK;
	}
	case AMQP_BASIC_DELIVER_METHOD: begin_delivery(b, frame); return KB_BROKER_OK;
	case AMQP_BASIC_RETURN_METHOD: begin_return(b, fields); return KB_BROKER_OK;
	case AMQP_BASIC_CANCEL_METHOD: consumer_cancelled(b, frame); return KB_BROKER_OK;
	case AMQP_CHANNEL_CLOSE_METHOD: return channel_closed(b, frame);
	case AMQP_CONNECTION_CLOSE_METHOD: return connection_closed(b, frame);
	case AMQP_CONNECTION_BLOCKED_METHOD: blocked(b, fields); return KB_BROKER_OK;
	case AMQP_CONNECTION_UNBLOCKED_METHOD: blocked(b, NULL); return KB_BROKER_OK;
	case AMQP_CHANNEL_CLOSE_OK_METHOD: channel_ended(b, frame->channel); return KB_BROKER_OK;
	default:
		kb_log_limited(
			&b->odd, KB_LOG_WARNING, "amqp: unexpected method 0x%08x from %s", frame->payload.method.id, b->address);
		return KB_BROKER_OK;
	}
}

static struct kb_amqp_content *incoming_on(struct kb_broker *b, amqp_channel_t channel)
{
	struct subscription *sub = subscription_on(b, channel);
	return sub ? &sub->incoming : &b->returned;
}

static void refuse_too_large(struct kb_broker *b, struct kb_amqp_content *in)
{
	in->discard = true;
	if (in == &b->returned)
		return;
	kb_log_limited(&b->too_large, KB_LOG_ERROR,
		"amqp: message of %zu bytes with routing key \"%.*s\" dropped: larger than the inbox takes (%zu bytes)",
		in->expected, KB_SLICE_FMT(in->m.key), b->config->message_max);
	kb_traffic_drop(b->config->traffic, &in->m.origin, KB_DROP_TOO_LARGE);
	if (!b->subscriptions[in->m.origin.subscription].s->no_ack)
		amqp_settle(b, &in->m.origin, KB_REJECTED);
}

static void finish_return(struct kb_broker *b)
{
	struct kb_message *m = &b->returned.m;
	m->exchange = kb_buf_slice(&b->back.exchange);
	m->key = kb_buf_slice(&b->back.key);
	if (b->back.expected && !b->returned.body.failed)
		b->events.returned(b->events.context, m, b->back.reason);
	b->back.expected = false;
}

/* Hands over a complete content. False: nobody has room, and it is held. */
static bool finish(struct kb_broker *b, struct kb_amqp_content *in, amqp_channel_t channel)
{
	bool is_return = in == &b->returned, wanted = !is_return && !in->discard && !in->body.failed;
	if (is_return)
		finish_return(b);
	if (wanted && !b->events.delivered(b->events.context, &in->m)) {
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
	bool header = frame->frame_type == AMQP_FRAME_HEADER;
	bool complete = header ? kb_amqp_content_header(in, frame) : kb_amqp_content_body(in, frame);
	if (header && in->active && !in->discard && in->expected > b->config->message_max)
		refuse_too_large(b, in);
	if (complete) {
		++*delivered;
		return finish(b, in, frame->channel) ? KB_BROKER_OK : KB_BROKER_AGAIN;
	}
	if (in->discard) /* however long it is, it takes the memory of one frame */
		amqp_maybe_release_buffers_on_channel(b->link.connection, frame->channel);
	return KB_BROKER_OK;
}

/* Handles one frame; *delivered counts contents. */
static enum kb_broker_result dispatch(struct kb_broker *b, const amqp_frame_t *frame, unsigned *delivered)
{
	if (frame->frame_type == AMQP_FRAME_HEADER || frame->frame_type == AMQP_FRAME_BODY)
		return content_frame(b, frame, delivered);
	if (frame->frame_type != AMQP_FRAME_METHOD)
		return KB_BROKER_OK;
	enum kb_broker_result result = method(b, frame);
	if (result == KB_BROKER_OK && !incoming_on(b, frame->channel)->active)
		amqp_maybe_release_buffers_on_channel(b->link.connection, frame->channel);
	return result;
}

static bool offer_held(struct kb_broker *b)
{
	struct kb_amqp_content *in = b->held;
	if (!in)
		return true;
	b->held = NULL;
	return finish(b, in, channel_of(in->m.origin.subscription));
}

static enum kb_broker_result read_frames(struct kb_broker *b, unsigned max_messages)
{
	static const struct timeval at_once = {0, 0};
	unsigned delivered = 0;
	if (!offer_held(b))
		return KB_BROKER_OK; /* the loop sees the held message by its own refusal */
	while (delivered < max_messages) {
		amqp_frame_t frame;
		int status = amqp_simple_wait_frame_noblock(b->link.connection, &frame, &at_once);
		if (status == AMQP_STATUS_TIMEOUT)
			return KB_BROKER_OK;
		if (status != AMQP_STATUS_OK)
			return lost(b, amqp_error_string2(status));
		enum kb_broker_result result = dispatch(b, &frame, &delivered);
		if (result != KB_BROKER_OK)
			return result == KB_BROKER_AGAIN ? KB_BROKER_OK : result;
	}
	return KB_BROKER_AGAIN;
}

static enum kb_broker_result amqp_process(struct kb_broker *b, unsigned max_messages)
{
	if (!b->link.connection || checked(b, kb_amqp_link_flush(&b->link)) == KB_BROKER_LOST)
		return KB_BROKER_LOST;
	enum kb_broker_result result = read_frames(b, max_messages);
	if (result == KB_BROKER_LOST || retry_subscriptions(b) == KB_BROKER_LOST ||
		checked(b, kb_amqp_link_keep_alive(&b->link, !b->held)) == KB_BROKER_LOST)
		return KB_BROKER_LOST;
	/* Acknowledgements of what was just read go out now, not with the next wake-up. */
	if (checked(b, kb_amqp_link_flush(&b->link)) == KB_BROKER_LOST)
		return KB_BROKER_LOST;
	/* Subscribing again may have left frames with the library, where no poll() sees them. */
	return amqp_frames_enqueued(b->link.connection) && !b->held ? KB_BROKER_AGAIN : result;
}

static int amqp_poll_fd(const struct kb_broker *b)
{
	return b->link.connection ? amqp_get_sockfd(b->link.connection) : -1;
}

static short amqp_poll_events(const struct kb_broker *b)
{
	return (short)((b->held ? 0 : POLLIN) | (kb_amqp_link_waiting(&b->link) ? POLLOUT : 0));
}

static int amqp_poll_timeout_ms(const struct kb_broker *b)
{
	return b->link.heartbeat_s ? KB_AMQP_ALIVE_CHECK_MS : -1;
}

/* -- opening and closing -- */

static void amqp_close(struct kb_broker *b)
{
	if (!b)
		return;
	if (b->link.connection && !kb_amqp_link_flush_all(&b->link))
		amqp_connection_close(b->link.connection, AMQP_REPLY_SUCCESS);
	drop(b);
	for (size_t i = 0; i < b->n_addresses; i++)
		kb_amqp_address_free(&b->addresses[i]);
	for (size_t i = 0; i < b->n_subscriptions; i++)
		kb_amqp_content_free(&b->subscriptions[i].incoming);
	kb_amqp_content_free(&b->returned);
	kb_buf_free(&b->back.exchange);
	kb_buf_free(&b->back.key);
	kb_amqp_link_free(&b->link);
	free(b->subscriptions);
	free(b->addresses);
	free(b);
}

static bool read_addresses(struct kb_broker *b, size_t *bad_url)
{
	for (size_t i = 0; i < b->config->n_urls; i++) {
		const char *why = kb_amqp_address_parse(b->config->urls[i], &b->addresses[i]);
		if (why) {
			kb_log(KB_LOG_ERROR, "amqp: address %zu of the list cannot be used: %s", i + 1, why);
			*bad_url = i;
			return false;
		}
		b->n_addresses++;
	}
	b->current = b->n_addresses - 1; /* connect() goes on to the next: the first */
	return b->n_addresses > 0;
}

static struct kb_broker *amqp_open(
	const struct kb_broker_config *config, const struct kb_broker_events *events, size_t *bad_url)
{
	struct kb_broker *b = calloc(1, sizeof *b);
	if (!b)
		return NULL;
	b->config = config;
	b->events = *events;
	b->next_sequence = 1;
	b->addresses = calloc(config->n_urls, sizeof *b->addresses);
	if (!b->addresses || !read_addresses(b, bad_url)) {
		amqp_close(b);
		return NULL;
	}
	return b;
}

const struct kb_broker_api kb_amqp = {
	.name = "amqp",
	.open = amqp_open,
	.close = amqp_close,
	.connect = amqp_connect,
	.address = amqp_address,
	.subscribe = amqp_subscribe,
	.publish = amqp_publish,
	.settle = amqp_settle,
	.process = amqp_process,
	.poll_fd = amqp_poll_fd,
	.poll_events = amqp_poll_events,
	.poll_timeout_ms = amqp_poll_timeout_ms,
};
