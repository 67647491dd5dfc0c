#include "amqp/publishing.h"

#include <stdio.h>
#include "amqp/bytes.h"
#include "amqp/channels.h"
#include "amqp/connection.h"
#include "amqp/frames.h"
#include "amqp/lookup.h"
#include "amqp/reason.h"
#include "amqp/requests.h"
#include "amqp/state.h"
#include "bus/traffic.h"

enum {
	OUT_HIGH = 256 * 1024 /* bytes waiting for the socket above which publish() takes no more */
};

/* -- the channel -- */

const char *kb_amqp_publishing_open(struct kb_broker *b)
{
	amqp_channel_open(b->link.connection, KB_AMQP_CHANNELS_PUBLISH);
	amqp_rpc_reply_t reply = amqp_get_rpc_reply(b->link.connection);
	if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
		amqp_confirm_select(b->link.connection, KB_AMQP_CHANNELS_PUBLISH);
		reply = amqp_get_rpc_reply(b->link.connection);
	}
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		return kb_amqp_reason_of(reply);
	b->publishing.sequence_base = b->publishing.next_sequence - 1;
	b->publishing.open = true;
	return NULL;
}

bool kb_amqp_publishing_on(const struct kb_broker *b, amqp_channel_t channel)
{
	return channel == KB_AMQP_CHANNELS_PUBLISH && (b->publishing.open || b->publishing.renewing);
}

/* The channel is closed. The loop sends again what was open on it. */
static enum kb_broker_result replace_channel(struct kb_broker *b, enum kb_requeue_cause cause, const char *why)
{
	b->publishing.open = b->publishing.renewing = false;
	if (kb_amqp_connection_checked(b, kb_amqp_link_flush_all(&b->link)) != KB_BROKER_OK)
		return KB_BROKER_LOST;
	const char *failed = kb_amqp_publishing_open(b);
	if (failed)
		return kb_amqp_connection_lost(b, failed);
	b->events.publish.requeue(b->events.context, cause, why);
	return KB_BROKER_OK;
}

/* All messages that were in flight are gone with the channel. */
enum kb_broker_result kb_amqp_publishing_closed(struct kb_broker *b, const amqp_frame_t *frame)
{
	const amqp_channel_close_t *close = frame->payload.method.decoded;
	enum kb_requeue_cause cause = close->reply_code == AMQP_NOT_FOUND ? KB_NO_EXCHANGE : KB_OFFENDED;
	char why[300];
	snprintf(why, sizeof why, "%s", kb_amqp_reason_in(frame));
	kb_amqp_frames_put_method(
		&b->link.out, KB_AMQP_CHANNELS_PUBLISH, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	return replace_channel(b, cause, why);
}

static void renew(struct kb_broker *b)
{
	if (!b->link.connection || !b->publishing.open)
		return;
	amqp_channel_close_t close = {.reply_code = 200};
	kb_amqp_frames_put_method(&b->link.out, KB_AMQP_CHANNELS_PUBLISH, AMQP_CHANNEL_CLOSE_METHOD, &close);
	b->publishing.open = false;
	b->publishing.renewing = true;
}

enum kb_broker_result kb_amqp_publishing_ended(struct kb_broker *b)
{
	return b->publishing.renewing ? replace_channel(b, KB_RENEWED, NULL) : KB_BROKER_OK;
}

/* 320 is an operator's doing. The 5xx are for something that we sent, perhaps one of the open messages, except for two
 * that are for troubles of the broker's own. */
void kb_amqp_publishing_lost(struct kb_broker *b, unsigned code, const char *why)
{
	bool failed = code == AMQP_INTERNAL_ERROR || code == AMQP_RESOURCE_ERROR;
	if (code >= 500 && b->publishing.open)
		b->events.publish.requeue(b->events.context, failed ? KB_BROKER_FAILED : KB_OFFENDED, why);
}

void kb_amqp_publishing_clear(struct kb_broker *b)
{
	b->publishing.open = b->publishing.renewing = b->publishing.return_expected = false;
	kb_amqp_content_clear(&b->publishing.returned);
}

void kb_amqp_publishing_free(struct kb_broker *b)
{
	kb_amqp_content_free(&b->publishing.returned);
	kb_buf_free(&b->publishing.exchange);
	kb_buf_free(&b->publishing.key);
}

/* -- messages -- */

static bool put(struct kb_broker *b, const struct kb_message *m, bool request)
{
	if (request)
		return kb_amqp_requests_put(b, m);
	return kb_amqp_frames_put_publish(
		&b->link.out, KB_AMQP_CHANNELS_PUBLISH, m, (size_t)amqp_get_frame_max(b->link.connection));
}

/* Why AMQP has no room for a message whose payload, being sent in pieces, always fits. */
static const char *fault_of(const struct kb_message *m)
{
	enum { LONGEST = 255 };
	if (m->exchange.n > LONGEST)
		return "its exchange name is longer than 255 bytes";
	if (m->key.n > LONGEST)
		return "its routing key is longer than 255 bytes";
	return "its headers and properties do not fit in one frame (frame_max)";
}

/* Requests have channels of their own, and go on while the one of messages is renewed. */
static enum kb_broker_result publish(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence)
{
	if (!b->link.connection || !(b->publishing.open || b->publishing.renewing))
		return KB_BROKER_LOST;
	if (kb_amqp_link_waiting(&b->link) > OUT_HIGH)
		return KB_BROKER_AGAIN;
	bool request = m->origin.flags & KB_EXPIRES;
	if (!b->publishing.open && !request)
		return KB_BROKER_AGAIN;
	if (!put(b, m, request)) {
		kb_log_limited(&b->refused, KB_LOG_ERROR,
			"amqp: message to exchange \"%.*s\" with routing key \"%.*s\" dropped: %s", KB_SLICE_FMT(m->exchange),
			KB_SLICE_FMT(m->key), fault_of(m));
		return KB_BROKER_INVALID;
	}
	*sequence = request ? 0 : b->publishing.next_sequence++;
	kb_traffic_sent(b->config->traffic, m->payload.n);
	return KB_BROKER_OK;
}

void kb_amqp_publishing_confirmed(struct kb_broker *b, uint64_t tag, bool multiple, enum kb_outcome outcome)
{
	/* A tag of 0 with `multiple` means everything so far (1.8.3.13 of the reference). */
	uint64_t sequence = tag || !multiple ? b->publishing.sequence_base + tag : b->publishing.next_sequence - 1;
	b->events.publish.settled(b->events.context, sequence, multiple, outcome,
		outcome == KB_PENDING ? "rejected by the broker (basic.nack)" : NULL);
}

/* -- messages that come back -- */

void kb_amqp_publishing_begin_return(struct kb_broker *b, const amqp_frame_t *frame)
{
	const amqp_basic_return_t *r = frame->payload.method.decoded;
	struct kb_amqp_publishing *p = &b->publishing;
	p->return_expected = b->events.publish.returned != NULL;
	kb_amqp_content_begin(&p->returned, !p->return_expected);
	kb_traffic_note(b->config->traffic, returned);
	kb_buf_clear(&p->exchange);
	kb_buf_clear(&p->key);
	kb_buf_append_slice(&p->exchange, kb_amqp_bytes_slice(r->exchange));
	kb_buf_append_slice(&p->key, kb_amqp_bytes_slice(r->routing_key));
	snprintf(p->reason, sizeof p->reason, "%u %.*s", r->reply_code, KB_SLICE_FMT(kb_amqp_bytes_slice(r->reply_text)));
}

void kb_amqp_publishing_finish_return(struct kb_broker *b)
{
	struct kb_amqp_publishing *p = &b->publishing;
	struct kb_message *m = &p->returned.m;
	m->exchange = kb_buf_slice(&p->exchange);
	m->key = kb_buf_slice(&p->key);
	if (p->return_expected && !p->returned.body.failed)
		b->events.publish.returned(b->events.context, m, p->reason);
	p->return_expected = false;
}

const struct kb_publish_api kb_amqp_publishing = {
	.has_exchanges = true,
	.publish = publish,
	.renew = renew,
	.look_up_exchange = kb_amqp_lookup_exchange,
};
