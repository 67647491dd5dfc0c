#include "amqp/subscriptions.h"

#include <stdio.h>
#include <stdlib.h>
#include "amqp/channels.h"
#include "amqp/connection.h"
#include "amqp/frames.h"
#include "amqp/state.h"
#include "amqp/topology.h"
#include "bus/traffic.h"
#include "core/clock.h"

enum {
	RESUBSCRIBE_MS = 2000, /* the first pause of a subscription that is refused; doubles */
	RESUBSCRIBE_MAX_MS = 60000,
	OFFENCE_MS = 30000, /* the first pause of a subscription that costs the connection; doubles */
	OFFENCE_MAX_MS = 3600000
};

struct kb_amqp_subscription *kb_amqp_subscriptions_on(struct kb_broker *b, amqp_channel_t channel)
{
	size_t i;
	return kb_amqp_channels_subscription(b, channel, &i) && b->subscriptions[i].s ? &b->subscriptions[i] : NULL;
}

static uint32_t index_of(const struct kb_broker *b, const struct kb_amqp_subscription *sub)
{
	return (uint32_t)(sub - b->subscriptions);
}

static amqp_channel_t channel_of(const struct kb_broker *b, const struct kb_amqp_subscription *sub)
{
	return kb_amqp_channels_of_subscription(index_of(b, sub));
}

/* -- starting -- */

static struct kb_amqp_subscription *slot(struct kb_broker *b, uint32_t index)
{
	if (index >= b->n_subscriptions) {
		struct kb_amqp_subscription *more = realloc(b->subscriptions, (index + 1) * sizeof *more);
		if (!more)
			return NULL;
		memset(more + b->n_subscriptions, 0, (index + 1 - b->n_subscriptions) * sizeof *more);
		b->subscriptions = more;
		b->n_subscriptions = index + 1;
	}
	return &b->subscriptions[index];
}

static void begin(struct kb_broker *b, struct kb_amqp_subscription *sub, uint32_t waiting)
{
	static uint32_t generations; /* shared by all brokers of a process: a stale origin never matches by chance */
	sub->generation = ++generations;
	kb_traffic_subscription(b->config->traffic, index_of(b, sub), NULL);
	kb_log(KB_LOG_INFO, "amqp: consuming from queue \"%s\" of exchange \"%s\" on %s", sub->s->queue.name,
		sub->s->exchange.name, b->address);
	if (b->events.consume.waiting)
		b->events.consume.waiting(b->events.context, index_of(b, sub), waiting);
}

static void tell_ended(struct kb_broker *b, const struct kb_amqp_subscription *sub, const char *why)
{
	uint32_t index = index_of(b, sub);
	kb_traffic_subscription(b->config->traffic, index, why);
	if (b->events.consume.fell)
		b->events.consume.fell(b->events.context, index, why);
}

static void end(struct kb_broker *b, struct kb_amqp_subscription *sub, int pause_ms, const char *why)
{
	sub->generation = 0;
	sub->counting = false;
	sub->retry_at = kb_clock_ms() + pause_ms;
	tell_ended(b, sub, why);
}

static void log_failed(const struct kb_amqp_subscription *sub, int next_ms, const char *why)
{
	kb_log(KB_LOG_ERROR, "amqp: subscription to queue \"%s\" of exchange \"%s\" failed, retrying in %d s: %s",
		sub->s->queue.name, sub->s->exchange.name, next_ms / 1000, why);
}

static int longer(int pause_ms, int first_ms, int most_ms)
{
	int doubled = pause_ms ? pause_ms * 2 : first_ms;
	return doubled > most_ms ? most_ms : doubled;
}

/* The broker closed the channel over it. */
static enum kb_broker_result refused(
	struct kb_broker *b, struct kb_amqp_subscription *sub, amqp_channel_t channel, const char *why)
{
	sub->pause_ms = longer(sub->pause_ms, RESUBSCRIBE_MS, RESUBSCRIBE_MAX_MS);
	log_failed(sub, sub->pause_ms, why);
	kb_amqp_frames_put_method(&b->link.out, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	end(b, sub, sub->pause_ms, why);
	return KB_BROKER_INVALID;
}

/* The broker closed the connection over it. Each further try costs the others a reconnect, too. */
static enum kb_broker_result offended(struct kb_broker *b, struct kb_amqp_subscription *sub, const char *why)
{
	struct kb_amqp_offence *o = &sub->offence;
	o->pause_ms = longer(o->pause_ms, OFFENCE_MS, OFFENCE_MAX_MS);
	o->until = kb_clock_ms() + o->pause_ms;
	snprintf(o->why, sizeof o->why, "%s", why);
	log_failed(sub, o->pause_ms, why);
	kb_amqp_frames_put_method(&b->link.out, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &(amqp_connection_close_ok_t){0});
	kb_amqp_link_flush(&b->link); /* a courtesy */
	b->failover.once_more = true;
	return kb_amqp_connection_lost(b, o->why);
}

/* On a channel that is not allowed it would cost the connection. */
static enum kb_broker_result without_channel(struct kb_broker *b, struct kb_amqp_subscription *sub)
{
	char why[100];
	snprintf(why, sizeof why, "the connection may have %u channels only", kb_amqp_channels_highest(b));
	sub->pause_ms = longer(sub->pause_ms, RESUBSCRIBE_MS, RESUBSCRIBE_MAX_MS);
	log_failed(sub, sub->pause_ms, why);
	end(b, sub, sub->pause_ms, why);
	return KB_BROKER_INVALID;
}

static bool is_paused(const struct kb_amqp_subscription *sub)
{
	return sub->offence.until > kb_clock_ms();
}

static enum kb_broker_result start(struct kb_broker *b, struct kb_amqp_subscription *sub)
{
	struct kb_amqp_declared declared;
	amqp_channel_t channel = channel_of(b, sub);
	if (channel > kb_amqp_channels_highest(b))
		return without_channel(b, sub);
	if (kb_amqp_connection_checked(b, kb_amqp_link_flush_all(&b->link)) != KB_BROKER_OK)
		return KB_BROKER_LOST;
	bool active = kb_amqp_topology_declare(b->link.connection, channel, sub->s, &declared);
	b->link.out_at = kb_clock_ms();
	sub->retry_at = 0;
	if (active) {
		sub->offence = (struct kb_amqp_offence){0};
		sub->pause_ms = 0;
		begin(b, sub, declared.waiting);
		return KB_BROKER_OK;
	}
	if (declared.offended)
		return offended(b, sub, declared.error);
	return declared.connection_lost ? kb_amqp_connection_lost(b, declared.error)
									: refused(b, sub, channel, declared.error);
}

static enum kb_broker_result subscribe(struct kb_broker *b, const struct kb_subscription *s, uint32_t index)
{
	if (!b->link.connection)
		return KB_BROKER_LOST;
	struct kb_amqp_subscription *sub = slot(b, index);
	if (!sub)
		return KB_BROKER_INVALID;
	sub->s = s;
	if (!is_paused(sub))
		return start(b, sub);
	sub->retry_at = sub->offence.until;
	tell_ended(b, sub, sub->offence.why);
	return KB_BROKER_INVALID;
}

/* A passive declaration changes nothing and is answered with the length of the queue. A queue that the broker has named
 * is new, and nothing waits in it. */
static void count(struct kb_broker *b, uint32_t index)
{
	amqp_channel_t channel = kb_amqp_channels_of_subscription(index);
	struct kb_amqp_subscription *sub = b->link.connection ? kb_amqp_subscriptions_on(b, channel) : NULL;
	if (!sub || !sub->generation || sub->counting || !sub->s->queue.name[0])
		return;
	amqp_queue_declare_t declare = {.queue = amqp_cstring_bytes(sub->s->queue.name), .passive = 1};
	sub->counting = kb_amqp_frames_put_method(&b->link.out, channel, AMQP_QUEUE_DECLARE_METHOD, &declare);
}

static bool retry_due(const struct kb_amqp_subscription *sub)
{
	return sub->s && sub->retry_at && !sub->closing && sub->retry_at <= kb_clock_ms();
}

/* Not while a message is held: the broker's answers come behind all that it has sent, which the library would have to
 * keep. */
enum kb_broker_result kb_amqp_subscriptions_retry(struct kb_broker *b)
{
	for (size_t i = 0; i < b->n_subscriptions && !b->held; i++)
		if (retry_due(&b->subscriptions[i]) && start(b, &b->subscriptions[i]) == KB_BROKER_LOST)
			return KB_BROKER_LOST;
	return KB_BROKER_OK;
}

/* -- what the broker says -- */

void kb_amqp_subscriptions_closed(struct kb_broker *b, struct kb_amqp_subscription *sub, const char *why)
{
	amqp_channel_close_ok_t closed = {0};
	kb_amqp_frames_put_method(&b->link.out, channel_of(b, sub), AMQP_CHANNEL_CLOSE_OK_METHOD, &closed);
	kb_log(KB_LOG_ERROR, "amqp: subscription to queue \"%s\" ended by the broker, retrying in %d s: %s",
		sub->s->queue.name, RESUBSCRIBE_MS / 1000, why);
	kb_amqp_content_clear(&sub->incoming);
	sub->closing = false;
	end(b, sub, RESUBSCRIBE_MS, why);
}

/* The queue was deleted or its node went away; the channel is still open. */
void kb_amqp_subscriptions_cancelled(struct kb_broker *b, struct kb_amqp_subscription *sub)
{
	amqp_channel_close_t close = {.reply_code = 200};
	kb_log(KB_LOG_ERROR, "amqp: subscription to queue \"%s\" cancelled by the broker, retrying in %d s",
		sub->s->queue.name, RESUBSCRIBE_MS / 1000);
	kb_amqp_frames_put_method(&b->link.out, channel_of(b, sub), AMQP_CHANNEL_CLOSE_METHOD, &close);
	sub->closing = true;
	end(b, sub, RESUBSCRIBE_MS, "cancelled by the broker");
}

/* Unless the subscription has ended meanwhile. */
void kb_amqp_subscriptions_counted(struct kb_broker *b, struct kb_amqp_subscription *sub, uint32_t messages)
{
	bool counting = sub->counting;
	sub->counting = false;
	if (counting && b->events.consume.counted)
		b->events.consume.counted(b->events.context, index_of(b, sub), messages);
}

void kb_amqp_subscriptions_ended(struct kb_amqp_subscription *sub)
{
	sub->closing = false;
}

void kb_amqp_subscriptions_clear(struct kb_broker *b)
{
	for (size_t i = 0; i < b->n_subscriptions; i++) {
		struct kb_amqp_subscription *sub = &b->subscriptions[i];
		kb_amqp_content_clear(&sub->incoming);
		sub->s = NULL;
		sub->generation = 0;
		sub->pause_ms = 0;
		sub->closing = sub->counting = false;
	}
}

void kb_amqp_subscriptions_free(struct kb_broker *b)
{
	for (size_t i = 0; i < b->n_subscriptions; i++)
		kb_amqp_content_free(&b->subscriptions[i].incoming);
	free(b->subscriptions);
}

/* -- acknowledging -- */

enum kb_broker_result kb_amqp_subscriptions_settle(
	struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome)
{
	if (!b->link.connection)
		return KB_BROKER_LOST;
	amqp_channel_t channel = kb_amqp_channels_of_subscription(origin->subscription);
	const struct kb_amqp_subscription *sub = kb_amqp_subscriptions_on(b, channel);
	if (!sub || !sub->generation || origin->generation != sub->generation)
		return KB_BROKER_OK;
	kb_traffic_settled(b->config->traffic, origin, outcome);
	if (outcome == KB_DONE)
		kb_amqp_frames_put_method(&b->link.out, channel, AMQP_BASIC_ACK_METHOD, &(amqp_basic_ack_t){origin->tag, 0});
	else
		kb_amqp_frames_put_method(&b->link.out, channel, AMQP_BASIC_REJECT_METHOD,
			&(amqp_basic_reject_t){origin->tag, outcome == KB_REQUEUE});
	return KB_BROKER_OK;
}

const struct kb_consume_api kb_amqp_subscriptions = {
	.subscribe = subscribe,
	.count = count,
	.settle = kb_amqp_subscriptions_settle,
};
