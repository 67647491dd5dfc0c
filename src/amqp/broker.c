#include "amqp/broker.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include "amqp/connection.h"
#include "amqp/incoming.h"
#include "amqp/lookup.h"
#include "amqp/publishing.h"
#include "amqp/requests.h"
#include "amqp/state.h"
#include "amqp/subscriptions.h"
#include "bus/traffic.h"
#include "core/clock.h"

static const struct kb_amqp_address *address_of(const struct kb_broker *b)
{
	return &b->addresses[b->failover.current];
}

/* -- the connection -- */

/* Ends the connection without a word to the broker. */
static void drop(struct kb_broker *b)
{
	kb_amqp_link_drop(&b->link);
	b->held = NULL;
	kb_amqp_publishing_clear(b);
	kb_amqp_requests_clear(b);
	kb_amqp_lookup_clear(b);
	kb_amqp_subscriptions_clear(b);
}

/* What the processes that share the list say to each other; a broker that is alone says it to itself. */
static _Atomic uint64_t *leads(struct kb_broker *b)
{
	const struct kb_amqp_options *options = b->config->options;
	return options && options->lead ? options->lead : &b->own_lead;
}

static uint64_t lead_of(struct kb_broker *b)
{
	return atomic_load_explicit(leads(b), memory_order_relaxed);
}

static void lead_others(struct kb_broker *b)
{
	uint64_t before = lead_of(b), after;
	do
		after = kb_amqp_failover_connected(&b->failover, before, kb_clock_ms());
	while (
		!atomic_compare_exchange_weak_explicit(leads(b), &before, after, memory_order_relaxed, memory_order_relaxed));
}

static enum kb_broker_result follow_others(struct kb_broker *b)
{
	const struct kb_amqp_address *there = &b->addresses[kb_amqp_failover_there(&b->failover, lead_of(b))];
	char host_port[300], why[400];
	kb_amqp_address_print(there, host_port, sizeof host_port);
	snprintf(why, sizeof why, "moved to %s", host_port);
	kb_log(KB_LOG_NOTICE, "amqp: connection to %s %s to join the other connections of the zone", b->address, why);
	kb_traffic_state(b->config->traffic, KB_CONNECTION_CLOSED, b->address, why);
	drop(b);
	return KB_BROKER_LOST;
}

static enum kb_broker_result amqp_connect(struct kb_broker *b)
{
	drop(b);
	kb_amqp_failover_next(&b->failover, lead_of(b));
	const struct kb_amqp_address *a = address_of(b);
	kb_amqp_address_print(a, b->address, sizeof b->address);
	kb_traffic_state(b->config->traffic, KB_CONNECTION_CONNECTING, b->address, NULL);
	const char *why = kb_amqp_link_open(&b->link, a, b->config);
	if (!why && (b->config->role & KB_ROLE_PUBLISH))
		why = kb_amqp_publishing_open(b);
	if (why) {
		kb_log(KB_LOG_ERROR, "amqp: cannot connect to %s vhost %s as %s: %s", b->address, a->vhost,
			kb_amqp_address_login(a), why);
		kb_traffic_state(b->config->traffic, KB_CONNECTION_CLOSED, b->address, why);
		drop(b);
		return KB_BROKER_LOST;
	}
	lead_others(b);
	kb_log(KB_LOG_NOTICE, "amqp: connected to %s vhost %s as %s (%s)", b->address, a->vhost, kb_amqp_address_login(a),
		b->config->client_name);
	return KB_BROKER_OK;
}

static const char *amqp_address(const struct kb_broker *b)
{
	return b->address;
}

/* -- working -- */

/* True when the library has read something from the socket that it has not handed to us. */
static bool has_unread(const struct kb_broker *b)
{
	return amqp_frames_enqueued(b->link.connection) || amqp_data_in_buffer(b->link.connection);
}

/* To find the socket empty costs the library two system calls, and the loop polls before it sleeps all the same. */
static enum kb_broker_result read_frames(struct kb_broker *b, unsigned max_messages)
{
	static const struct timeval at_once = {0, 0};
	unsigned delivered = 0;
	if (max_messages == 0 || !kb_amqp_incoming_offer_held(b))
		return KB_BROKER_OK; /* the loop sees the held message by its own refusal */
	while (delivered < max_messages) {
		amqp_frame_t frame;
		int status = amqp_simple_wait_frame_noblock(b->link.connection, &frame, &at_once);
		if (status == AMQP_STATUS_TIMEOUT)
			return KB_BROKER_OK;
		if (status != AMQP_STATUS_OK)
			return kb_amqp_connection_lost(b, amqp_error_string2(status));
		enum kb_broker_result result = kb_amqp_incoming_frame(b, &frame, &delivered);
		if (result != KB_BROKER_OK)
			return result == KB_BROKER_AGAIN ? KB_BROKER_OK : result;
		if (!has_unread(b))
			return KB_BROKER_OK;
	}
	return KB_BROKER_AGAIN;
}

/* A broker that has gone silent gets no second try. */
static enum kb_broker_result keep_alive(struct kb_broker *b)
{
	const char *why = kb_amqp_link_keep_alive(&b->link, !b->held);
	b->failover.once_more = !why;
	return kb_amqp_connection_checked(b, why);
}

static enum kb_broker_result amqp_process(struct kb_broker *b, unsigned max_messages)
{
	if (b->link.connection && kb_amqp_failover_leaves(&b->failover, lead_of(b), kb_clock_ms()))
		return follow_others(b);
	if (!b->link.connection)
		return KB_BROKER_LOST;
	b->failover.once_more = true;
	if (kb_amqp_connection_checked(b, kb_amqp_link_flush(&b->link)) == KB_BROKER_LOST)
		return KB_BROKER_LOST;
	enum kb_broker_result result = read_frames(b, max_messages);
	if (result == KB_BROKER_LOST || kb_amqp_subscriptions_retry(b) == KB_BROKER_LOST || keep_alive(b) == KB_BROKER_LOST)
		return KB_BROKER_LOST;
	/* Acknowledgements of what was just read go out now, not with the next wake-up. */
	if (kb_amqp_connection_checked(b, kb_amqp_link_flush(&b->link)) == KB_BROKER_LOST)
		return KB_BROKER_LOST;
	/* Subscribing again may have left something with the library, where no poll() sees it. */
	return has_unread(b) && !b->held ? KB_BROKER_AGAIN : result;
}

static short amqp_poll_events(const struct kb_broker *b)
{
	return (short)((b->held ? 0 : POLLIN) | (kb_amqp_link_waiting(&b->link) ? POLLOUT : 0));
}

/* A closed peer would wake a loop that polls for nothing, over and over. */
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
	for (size_t i = 0; i < b->failover.n; i++)
		kb_amqp_address_free(&b->addresses[i]);
	kb_amqp_publishing_free(b);
	kb_amqp_requests_free(b);
	kb_amqp_subscriptions_free(b);
	kb_amqp_link_free(&b->link);
	free(b->addresses);
	free(b);
}

static bool read_addresses(struct kb_broker *b, size_t *bad_url)
{
	for (size_t i = 0; i < b->config->n_urls; i++) {
		const char *why = kb_amqp_address_parse(b->config->urls[i], &b->addresses[i]);
		if (why) {
			kb_log(KB_LOG_ERROR, "amqp: address %zu of the list is invalid: %s", i + 1, why);
			*bad_url = i;
			return false;
		}
		b->failover.n++;
	}
	return b->failover.n > 0;
}

static struct kb_broker *amqp_open(
	const struct kb_broker_config *config, const struct kb_broker_events *events, size_t *bad_url)
{
	struct kb_broker *b = calloc(1, sizeof *b);
	if (!b)
		return NULL;
	b->config = config;
	b->events = *events;
	b->publishing.next_sequence = 1;
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
	.process = amqp_process,
	.poll_fd = amqp_poll_fd,
	.poll_events = amqp_poll_events,
	.poll_timeout_ms = amqp_poll_timeout_ms,
	.publish = &kb_amqp_publishing,
	.consume = &kb_amqp_subscriptions,
};
