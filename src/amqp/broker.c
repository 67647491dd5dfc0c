/* The connection, subscriptions, publishing. What the broker says is in incoming.c. */
#include "amqp/broker.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include "amqp/frames.h"
#include "amqp/state.h"
#include "amqp/topology.h"
#include "bus/traffic.h"
#include "core/clock.h"

enum {
	OUT_HIGH = 256 * 1024 /* bytes waiting for the socket above which publish() takes no more */
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
	b->publishing = b->renewing = false;
	b->held = NULL;
	b->back.expected = false;
	kb_amqp_content_clear(&b->returned);
	kb_amqp_questions_clear(b);
	b->lookup.open = b->lookup.asked = false;
	for (size_t i = 0; i < b->n_subscriptions; i++) {
		kb_amqp_content_clear(&b->subscriptions[i].incoming);
		b->subscriptions[i].s = NULL;
		b->subscriptions[i].generation = 0;
		b->subscriptions[i].pause_ms = 0;
		b->subscriptions[i].closing = b->subscriptions[i].counting = false;
	}
}

enum kb_broker_result kb_amqp_lost(struct kb_broker *b, const char *why)
{
	why = kb_amqp_link_reason(&b->link, why);
	kb_log(KB_LOG_WARNING, "amqp: connection to %s lost: %s", b->address, why);
	kb_traffic_state(b->config->traffic, KB_CONNECTION_CLOSED, b->address, why);
	drop(b);
	return KB_BROKER_LOST;
}

enum kb_broker_result kb_amqp_checked(struct kb_broker *b, const char *why)
{
	return why ? kb_amqp_lost(b, why) : KB_BROKER_OK;
}

const char *kb_amqp_open_publish_channel(struct kb_broker *b)
{
	amqp_channel_open(b->link.connection, KB_AMQP_PUBLISH_CHANNEL);
	amqp_rpc_reply_t reply = amqp_get_rpc_reply(b->link.connection);
	if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
		amqp_confirm_select(b->link.connection, KB_AMQP_PUBLISH_CHANNEL);
		reply = amqp_get_rpc_reply(b->link.connection);
	}
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		return kb_amqp_reason(reply);
	b->sequence_base = b->next_sequence - 1;
	b->publishing = true;
	return NULL;
}

static _Atomic uint32_t *shared_address(const struct kb_broker *b)
{
	const struct kb_amqp_options *options = b->config->options;
	return options ? options->common_address : NULL;
}

/* Where the other processes of the zone are; our own place when we are alone. */
static size_t common_address(const struct kb_broker *b)
{
	_Atomic uint32_t *common = shared_address(b);
	return common ? atomic_load_explicit(common, memory_order_relaxed) : b->current;
}

/* A lost connection says little of its broker, so that has one more try. Brokers of a list need not be a cluster: an
 * answer reaches its question only when it goes to the broker where all of us are. */
static size_t choose_address(struct kb_broker *b)
{
	bool once_more = b->once_more;
	b->once_more = false;
	if (common_address(b) != b->current)
		return common_address(b);
	return once_more ? b->current : (b->current + 1) % b->n_addresses;
}

static void lead_others(struct kb_broker *b)
{
	_Atomic uint32_t *common = shared_address(b);
	if (common)
		atomic_store_explicit(common, (uint32_t)b->current, memory_order_relaxed);
	b->follow_at = kb_now_ms() + KB_AMQP_FOLLOW_MS;
}

/* Those who cannot reach each other's brokers would lead each other for ever, if not for the pause. */
static bool is_left_alone(const struct kb_broker *b)
{
	return common_address(b) != b->current && kb_now_ms() >= b->follow_at;
}

static enum kb_broker_result follow_others(struct kb_broker *b)
{
	const struct kb_amqp_address *there = &b->addresses[common_address(b)];
	char why[400];
	snprintf(why, sizeof why, "left for %.255s:%d", there->host, there->port);
	kb_log(KB_LOG_NOTICE, "amqp: %s %s, where the other connections of the zone are", b->address, why);
	kb_traffic_state(b->config->traffic, KB_CONNECTION_CLOSED, b->address, why);
	drop(b);
	return KB_BROKER_LOST;
}

static enum kb_broker_result amqp_connect(struct kb_broker *b)
{
	drop(b);
	b->current = choose_address(b);
	const struct kb_amqp_address *a = address_of(b);
	snprintf(b->address, sizeof b->address, "%s:%d", a->host, a->port);
	kb_traffic_state(b->config->traffic, KB_CONNECTION_CONNECTING, b->address, NULL);
	const char *why = kb_amqp_link_open(&b->link, a, b->config);
	if (!why && (b->config->role & KB_ROLE_PUBLISH))
		why = kb_amqp_open_publish_channel(b);
	if (why) {
		kb_log(KB_LOG_ERROR, "amqp: cannot connect to %s vhost %s as user %s: %s", b->address, a->vhost, a->user, why);
		kb_traffic_state(b->config->traffic, KB_CONNECTION_CLOSED, b->address, why);
		drop(b);
		return KB_BROKER_LOST;
	}
	lead_others(b);
	kb_log(KB_LOG_NOTICE, "amqp: connected to %s vhost %s as user %s (%s)", b->address, a->vhost, a->user,
		b->config->client_name);
	return KB_BROKER_OK;
}

static const char *amqp_address(const struct kb_broker *b)
{
	return b->address;
}

/* -- subscriptions -- */

amqp_channel_t kb_amqp_channel_of(size_t subscription)
{
	return (amqp_channel_t)(KB_AMQP_FIRST_SUBSCRIPTION_CHANNEL + subscription);
}

struct kb_amqp_subscription *kb_amqp_subscription_on(struct kb_broker *b, amqp_channel_t channel)
{
	size_t index = (size_t)channel - KB_AMQP_FIRST_SUBSCRIPTION_CHANNEL;
	return channel >= KB_AMQP_FIRST_SUBSCRIPTION_CHANNEL && index < b->n_subscriptions && b->subscriptions[index].s
			   ? &b->subscriptions[index]
			   : NULL;
}

static struct kb_amqp_subscription *subscription_slot(struct kb_broker *b, uint32_t index)
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

static void subscription_stands(struct kb_broker *b, struct kb_amqp_subscription *sub, uint32_t waiting)
{
	static uint32_t generations; /* shared by all brokers of a process: a stale origin never matches by chance */
	sub->generation = ++generations;
	kb_traffic_subscription(b->config->traffic, (uint32_t)(sub - b->subscriptions), NULL);
	kb_log(KB_LOG_INFO, "amqp: consuming queue \"%s\" of exchange \"%s\" from %s", sub->s->queue.name,
		sub->s->exchange.name, b->address);
	if (b->events.consume.waiting)
		b->events.consume.waiting(b->events.context, (uint32_t)(sub - b->subscriptions), waiting);
}

static void tell_fell(struct kb_broker *b, const struct kb_amqp_subscription *sub, const char *why)
{
	uint32_t index = (uint32_t)(sub - b->subscriptions);
	kb_traffic_subscription(b->config->traffic, index, why);
	if (b->events.consume.fell)
		b->events.consume.fell(b->events.context, index, why);
}

void kb_amqp_subscription_fell(struct kb_broker *b, struct kb_amqp_subscription *sub, int pause_ms, const char *why)
{
	sub->generation = 0;
	sub->counting = false;
	sub->retry_at = kb_now_ms() + pause_ms;
	tell_fell(b, sub, why);
}

static void log_failed(const struct kb_amqp_subscription *sub, int next_ms, const char *why)
{
	kb_log(KB_LOG_ERROR, "amqp: subscription to queue \"%s\" of exchange \"%s\" failed, next try in %d s: %s",
		sub->s->queue.name, sub->s->exchange.name, next_ms / 1000, why);
}

static int longer(int pause_ms, int first_ms, int most_ms)
{
	int doubled = pause_ms ? pause_ms * 2 : first_ms;
	return doubled > most_ms ? most_ms : doubled;
}

/* The broker closed the channel over it. */
static enum kb_broker_result subscription_refused(
	struct kb_broker *b, struct kb_amqp_subscription *sub, amqp_channel_t channel, const char *why)
{
	sub->pause_ms = longer(sub->pause_ms, KB_AMQP_RESUBSCRIBE_MS, KB_AMQP_RESUBSCRIBE_MAX_MS);
	log_failed(sub, sub->pause_ms, why);
	kb_amqp_put_method(&b->link.out, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	kb_amqp_subscription_fell(b, sub, sub->pause_ms, why);
	return KB_BROKER_INVALID;
}

/* The broker closed the connection over it. Each further try costs the others a reconnect, too. */
static enum kb_broker_result subscription_offended(
	struct kb_broker *b, struct kb_amqp_subscription *sub, const char *why)
{
	struct kb_amqp_offence *o = &sub->offence;
	o->pause_ms = longer(o->pause_ms, KB_AMQP_OFFENCE_MS, KB_AMQP_OFFENCE_MAX_MS);
	o->until = kb_now_ms() + o->pause_ms;
	snprintf(o->why, sizeof o->why, "%s", why);
	log_failed(sub, o->pause_ms, why);
	kb_amqp_put_method(&b->link.out, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &(amqp_connection_close_ok_t){0});
	kb_amqp_link_flush(&b->link); /* a courtesy */
	b->once_more = true;
	return kb_amqp_lost(b, o->why);
}

static bool is_paused(const struct kb_amqp_subscription *sub)
{
	return sub->offence.until > kb_now_ms();
}

static enum kb_broker_result start_subscription(struct kb_broker *b, struct kb_amqp_subscription *sub)
{
	struct kb_amqp_declared declared;
	amqp_channel_t channel = kb_amqp_channel_of((size_t)(sub - b->subscriptions));
	if (kb_amqp_checked(b, kb_amqp_link_flush_all(&b->link)) != KB_BROKER_OK)
		return KB_BROKER_LOST;
	bool stands = kb_amqp_topology(b->link.connection, channel, sub->s, &declared);
	b->link.out_at = kb_now_ms();
	sub->retry_at = 0;
	if (stands) {
		sub->offence = (struct kb_amqp_offence){0};
		sub->pause_ms = 0;
		subscription_stands(b, sub, declared.waiting);
		return KB_BROKER_OK;
	}
	if (declared.offended)
		return subscription_offended(b, sub, declared.error);
	return declared.connection_lost ? kb_amqp_lost(b, declared.error)
									: subscription_refused(b, sub, channel, declared.error);
}

static enum kb_broker_result amqp_subscribe(struct kb_broker *b, const struct kb_subscription *s, uint32_t index)
{
	if (!b->link.connection)
		return KB_BROKER_LOST;
	struct kb_amqp_subscription *sub = subscription_slot(b, index);
	if (!sub)
		return KB_BROKER_INVALID;
	sub->s = s;
	if (!is_paused(sub))
		return start_subscription(b, sub);
	sub->retry_at = sub->offence.until;
	tell_fell(b, sub, sub->offence.why);
	return KB_BROKER_INVALID;
}

/* A passive declaration changes nothing and is answered with the length of the queue. A queue that the broker has named
 * is a new one, in which nothing has waited. */
static void amqp_count(struct kb_broker *b, uint32_t index)
{
	amqp_channel_t channel = kb_amqp_channel_of(index);
	struct kb_amqp_subscription *sub = b->link.connection ? kb_amqp_subscription_on(b, channel) : NULL;
	if (!sub || !sub->generation || sub->counting || !sub->s->queue.name[0])
		return;
	amqp_queue_declare_t declare = {.queue = amqp_cstring_bytes(sub->s->queue.name), .passive = 1};
	sub->counting = kb_amqp_put_method(&b->link.out, channel, AMQP_QUEUE_DECLARE_METHOD, &declare);
}

static bool retry_due(const struct kb_amqp_subscription *sub)
{
	return sub->s && sub->retry_at && !sub->closing && sub->retry_at <= kb_now_ms();
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

static bool put(struct kb_broker *b, const struct kb_message *m, bool question)
{
	if (question)
		return kb_amqp_ask(b, m);
	return kb_amqp_put_publish(
		&b->link.out, KB_AMQP_PUBLISH_CHANNEL, m, (size_t)amqp_get_frame_max(b->link.connection));
}

static enum kb_broker_result amqp_publish(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence)
{
	if (!b->link.connection || !(b->publishing || b->renewing))
		return KB_BROKER_LOST;
	if (kb_amqp_link_waiting(&b->link) > OUT_HIGH)
		return KB_BROKER_AGAIN;
	bool question = m->origin.flags & KB_EXPIRES;
	if (!b->publishing && !question)
		return KB_BROKER_AGAIN;
	if (!put(b, m, question)) {
		kb_log_limited(&b->refused, KB_LOG_ERROR,
			"amqp: message dropped: exchange \"%.*s\", routing key \"%.*s\" (%zu bytes) or its headers are longer than "
			"the protocol, or this broker, allows",
			KB_SLICE_FMT(m->exchange), KB_SLICE_FMT(m->key), m->key.n);
		return KB_BROKER_INVALID;
	}
	*sequence = question ? 0 : b->next_sequence++;
	kb_traffic_sent(b->config->traffic, m->payload.n);
	return KB_BROKER_OK;
}

static void amqp_renew(struct kb_broker *b)
{
	if (!b->link.connection || !b->publishing)
		return;
	amqp_channel_close_t close = {.reply_code = 200};
	kb_amqp_put_method(&b->link.out, KB_AMQP_PUBLISH_CHANNEL, AMQP_CHANNEL_CLOSE_METHOD, &close);
	b->publishing = false;
	b->renewing = true;
}

enum kb_broker_result kb_amqp_settle(struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome)
{
	if (!b->link.connection)
		return KB_BROKER_LOST;
	const struct kb_amqp_subscription *sub = kb_amqp_subscription_on(b, kb_amqp_channel_of(origin->subscription));
	if (!sub || !sub->generation || origin->generation != sub->generation)
		return KB_BROKER_OK;
	amqp_channel_t channel = kb_amqp_channel_of(origin->subscription);
	kb_traffic_settled(b->config->traffic, origin, outcome);
	if (outcome == KB_DONE)
		kb_amqp_put_method(&b->link.out, channel, AMQP_BASIC_ACK_METHOD, &(amqp_basic_ack_t){origin->tag, 0});
	else
		kb_amqp_put_method(&b->link.out, channel, AMQP_BASIC_REJECT_METHOD,
			&(amqp_basic_reject_t){origin->tag, outcome == KB_REQUEUE});
	return KB_BROKER_OK;
}

/* -- working -- */

/* What the library has got from the socket and not given to us. */
static bool has_unread(const struct kb_broker *b)
{
	return amqp_frames_enqueued(b->link.connection) || amqp_data_in_buffer(b->link.connection);
}

/* To find the socket empty costs the library two system calls, and the loop polls before it sleeps all the same. */
static enum kb_broker_result read_frames(struct kb_broker *b, unsigned max_messages)
{
	static const struct timeval at_once = {0, 0};
	unsigned delivered = 0;
	if (max_messages == 0 || !kb_amqp_offer_held(b))
		return KB_BROKER_OK; /* the loop sees the held message by its own refusal */
	while (delivered < max_messages) {
		amqp_frame_t frame;
		int status = amqp_simple_wait_frame_noblock(b->link.connection, &frame, &at_once);
		if (status == AMQP_STATUS_TIMEOUT)
			return KB_BROKER_OK;
		if (status != AMQP_STATUS_OK)
			return kb_amqp_lost(b, amqp_error_string2(status));
		enum kb_broker_result result = kb_amqp_dispatch(b, &frame, &delivered);
		if (result != KB_BROKER_OK)
			return result == KB_BROKER_AGAIN ? KB_BROKER_OK : result;
		if (!has_unread(b))
			return KB_BROKER_OK;
	}
	return KB_BROKER_AGAIN;
}

/* A broker that has gone silent has had its time. */
static enum kb_broker_result keep_alive(struct kb_broker *b)
{
	const char *why = kb_amqp_link_keep_alive(&b->link, !b->held);
	b->once_more = !why;
	return kb_amqp_checked(b, why);
}

static enum kb_broker_result amqp_process(struct kb_broker *b, unsigned max_messages)
{
	if (b->link.connection && is_left_alone(b))
		return follow_others(b);
	b->once_more = true;
	if (!b->link.connection || kb_amqp_checked(b, kb_amqp_link_flush(&b->link)) == KB_BROKER_LOST)
		return KB_BROKER_LOST;
	enum kb_broker_result result = read_frames(b, max_messages);
	if (result == KB_BROKER_LOST || retry_subscriptions(b) == KB_BROKER_LOST || keep_alive(b) == KB_BROKER_LOST)
		return KB_BROKER_LOST;
	/* Acknowledgements of what was just read go out now, not with the next wake-up. */
	if (kb_amqp_checked(b, kb_amqp_link_flush(&b->link)) == KB_BROKER_LOST)
		return KB_BROKER_LOST;
	/* Subscribing again may have left something with the library, where no poll() sees it. */
	return has_unread(b) && !b->held ? KB_BROKER_AGAIN : result;
}

static short amqp_poll_events(const struct kb_broker *b)
{
	return (short)((b->held ? 0 : POLLIN) | (kb_amqp_link_waiting(&b->link) ? POLLOUT : 0));
}

/* A closed peer would wake a loop that asks for nothing, over and over. */
static int amqp_poll_fd(const struct kb_broker *b)
{
	return b->link.connection && amqp_poll_events(b) ? amqp_get_sockfd(b->link.connection) : -1;
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
	kb_amqp_questions_free(b);
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
	b->once_more = true; /* connect() begins with the first */
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

static const struct kb_publish_api publishing = {
	.has_exchanges = true,
	.publish = amqp_publish,
	.renew = amqp_renew,
	.ask_exchange = kb_amqp_ask_exchange,
};

static const struct kb_consume_api consuming = {
	.subscribe = amqp_subscribe,
	.count = amqp_count,
	.settle = kb_amqp_settle,
};

const struct kb_broker_api kb_amqp = {
	.name = "amqp",
	.open = amqp_open,
	.close = amqp_close,
	.connect = amqp_connect,
	.address = amqp_address,
	.process = amqp_process,
	.poll_fd = amqp_poll_fd,
	.poll_events = amqp_poll_events,
	.poll_timeout_ms = amqp_poll_timeout_ms,
	.publish = &publishing,
	.consume = &consuming,
};
