/* The connection. Core NATS delivers at most once: a message that is written to the socket counts as sent, unless
 * config.confirm is set (receipts.h). */
#include "nats/broker.h"

#include <stdlib.h>
#include "bus/traffic.h"
#include "nats/incoming.h"
#include "nats/lame_duck.h"
#include "nats/notices.h"
#include "nats/options.h"
#include "nats/outgoing.h"
#include "nats/settle.h"
#include "nats/state.h"
#include "nats/subscriptions.h"
#include "core/clock.h"

enum {
	LOOK_MS = 500,  /* between two looks at the time since the server was heard */
	HELD_MS = 10,   /* a delivery that found no room is offered again */
	LINGER_MS = 500 /* for the last bytes to reach the server */
};

/* -- addresses and connections -- */

/* True when a certificate that we accept is not one that anybody can get for a name of their own. */
static bool few_have_certificates(const struct kb_tls_options *tls)
{
	return tls->ca_file || tls->expected_name || tls->any_name || tls->any_peer;
}

static struct kb_broker *nats_open(
	const struct kb_broker_config *config, const struct kb_broker_events *events, size_t *bad_url)
{
	const char *what;
	struct kb_broker *b = calloc(1, sizeof *b);
	if (!b)
		return NULL;
	b->config = *config;
	b->events = *events;
	b->store.inbox_prefix = kb_nats_options_of(config)->inbox_prefix;
	if (!kb_nats_servers_init(&b->servers, config->urls, config->n_urls, bad_url, &what)) {
		kb_log(KB_LOG_ERROR, "nats: address %zu is invalid: %s", *bad_url + 1, what);
		kb_nats_servers_free(&b->servers);
		free(b);
		return NULL;
	}
	b->trusted = few_have_certificates(&config->tls);
	for (size_t i = 0; i < b->servers.n; i++)
		b->servers.list[i].tls = b->servers.list[i].tls || kb_nats_options_of(config)->tls;
	kb_nats_server_print(&b->servers.list[0], b->address, sizeof b->address);
	return b;
}

static void disconnect(struct kb_broker *b, int linger_ms)
{
	if (!b->link.open)
		return;
	kb_nats_link_close(&b->link, linger_ms);
	kb_nats_servers_announced(&b->servers, b->link.info.servers, b->server, b->trusted);
	b->n_subscriptions = 0;
	b->unread = 0;
	b->refused = b->held = b->lame_duck = b->renewing = false;
	b->leave_at = b->leave_by = 0;
	kb_nats_store_reset(&b->store);
	kb_nats_receipts_forget(&b->receipts);
}

static void nats_close(struct kb_broker *b)
{
	if (!b)
		return;
	disconnect(b, LINGER_MS);
	kb_nats_writer_end(b->writer);
	kb_nats_link_free(&b->link);
	kb_nats_servers_free(&b->servers);
	kb_nats_store_free(&b->store);
	kb_buf_free(&b->headers);
	kb_buf_free(&b->properties);
	free(b->subscriptions);
	free(b);
}

static void log_connected(const struct kb_broker *b)
{
	char who[300];
	kb_log(KB_LOG_NOTICE, "nats: connected to %s %s%s", b->address,
		kb_nats_login_describe(b->server, &kb_nats_options_of(&b->config)->credentials, who, sizeof who),
		b->link.tls ? ", with TLS" : "");
}

static enum kb_broker_result nats_connect(struct kb_broker *b)
{
	disconnect(b, 0);
	b->server = kb_nats_servers_next(&b->servers);
	kb_nats_server_print(b->server, b->address, sizeof b->address);
	kb_traffic_state(b->config.traffic, KB_CONNECTION_CONNECTING, b->address, NULL);
	if (!kb_nats_link_open(&b->link, b->server, &b->config)) {
		kb_log(KB_LOG_ERROR, "nats: cannot connect to %s: %s", b->address, b->link.why);
		kb_traffic_state(b->config.traffic, KB_CONNECTION_CLOSED, b->address, b->link.why);
		return KB_BROKER_LOST;
	}
	b->generation++;
	b->announced = kb_nats_notices_cluster_size(b);
	log_connected(b);
	return KB_BROKER_OK;
}

static const char *nats_address(const struct kb_broker *b)
{
	return b->address;
}

/* -- the connection at work -- */

static enum kb_broker_result leave(struct kb_broker *b)
{
	kb_log(KB_LOG_NOTICE, "nats: left %s, which is shutting down", b->address);
	kb_traffic_state(b->config.traffic, KB_CONNECTION_CLOSED, b->address, "lame duck mode");
	disconnect(b, kb_nats_link_awaits_pong(&b->link) ? LINGER_MS : 0);
	return KB_BROKER_LOST;
}

static enum kb_broker_result lost(struct kb_broker *b)
{
	if (b->link.open) {
		kb_log(KB_LOG_ERROR, "nats: connection to %s lost: %s", b->address, b->link.why);
		kb_traffic_state(b->config.traffic, KB_CONNECTION_CLOSED, b->address, b->link.why);
		if (b->link.cut_off)
			kb_nats_notices_slow_consumer(b);
		disconnect(b, 0);
	}
	return KB_BROKER_LOST;
}

/* Everything that has a time. It follows the deliveries, whose routes may take long. */
static void tick(struct kb_broker *b, int64_t now)
{
	int heartbeat_ms = b->held || b->leave_by ? 0 : b->config.heartbeat_s * 1000;
	kb_nats_store_expire(&b->store, now, &b->events);
	if (!b->leave_by)
		kb_nats_subscriptions_tick(b, now);
	kb_nats_link_keep_alive(&b->link, heartbeat_ms, kb_nats_options_of(&b->config)->pings_out_max, now);
	kb_nats_receipts_ping(&b->receipts, &b->link, b->leave_by != 0, now);
}

static enum kb_broker_result nats_process(struct kb_broker *b, unsigned max_messages)
{
	if (b->refused && !b->leave_by)
		kb_nats_subscriptions_retry(b, kb_clock_ms());
	if (b->leave_at && !b->leave_by)
		kb_nats_lame_duck_tick(b, kb_clock_ms());
	bool done = !b->link.up || kb_nats_incoming_process(b, max_messages);
	if (b->renewing)
		kb_nats_outgoing_renew_now(b);
	tick(b, kb_clock_ms());
	b->published = false;
	if (kb_nats_link_waiting(&b->link))
		kb_nats_link_write(&b->link);
	if (!b->link.up)
		return lost(b);
	if (done && b->leave_by && kb_nats_lame_duck_may_leave(b, kb_clock_ms()))
		return leave(b);
	return done || b->held ? KB_BROKER_OK : KB_BROKER_AGAIN;
}

/* -- waiting -- */

static short nats_poll_events(const struct kb_broker *b)
{
	return kb_nats_link_poll_events(&b->link, !b->held);
}

static int nats_poll_fd(const struct kb_broker *b)
{
	/* A closed socket would wake a loop again and again that polls for no events. */
	return b->link.open && nats_poll_events(b) ? b->link.tcp : -1;
}

static int nats_poll_timeout_ms(const struct kb_broker *b)
{
	int due = kb_nats_receipts_due_ms(&b->receipts, kb_clock_ms()), ms = b->held || b->leave_by ? HELD_MS : LOOK_MS;
	return due >= 0 && due < ms ? due : ms;
}

static const struct kb_publish_api publishing = {
	.publish = kb_nats_outgoing_publish,
	.renew = kb_nats_outgoing_renew,
};

static const struct kb_consume_api consuming = {
	.subscribe = kb_nats_subscriptions_add,
	.settle = kb_nats_settle,
	.settle_now = kb_nats_settle_now,
	.progress = kb_nats_settle_progress,
};

const struct kb_broker_api kb_nats = {
	.name = "nats",
	.open = nats_open,
	.close = nats_close,
	.connect = nats_connect,
	.address = nats_address,
	.process = nats_process,
	.poll_fd = nats_poll_fd,
	.poll_events = nats_poll_events,
	.poll_timeout_ms = nats_poll_timeout_ms,
	.publish = &publishing,
	.consume = &consuming,
};
