/* The processes that talk to the brokers: a publisher and a consumer for each zone, and the requester. */
#include "kamailio/kazoo/brokers.h"

#include <core/dprint.h>

#include <stdint.h>
#include <stdlib.h>

#include "amqp/address.h"
#include "amqp/broker.h"
#include "amqp/reply_queue.h"
#include "bus/consumer.h"
#include "bus/requester.h"
#include "kamailio/glue/process.h"
#include "kamailio/glue/settings.h"
#include "kamailio/glue/tls_settings.h"
#include "kamailio/kazoo/inboxes.h"
#include "kamailio/kazoo/message.h"
#include "kamailio/kazoo/requester.h"
#include "kamailio/kazoo/settings.h"
#include "kamailio/kazoo/stats.h"
#include "kamailio/kazoo/subscriptions.h"
#include "kamailio/kazoo/zones.h"

enum { NAME_BYTES = 300 };

static struct kb_tls_options tls_of_settings(void)
{
	const struct kz_settings *s = kz_settings();
	return (struct kb_tls_options){.ca_file = kb_tls_settings_file(s->tls_ca),
		.cert_file = kb_tls_settings_file(s->tls_cert),
		.key_file = kb_tls_settings_file(s->tls_key),
		.any_peer = !s->tls_verify_peer,
		.any_name = !s->tls_verify_hostname,
		.ca_name = "amqps_ca_cert",
		.cert_name = "amqps_cert",
		.key_name = "amqps_key"};
}

/* The event of a message that comes back holds it as far as there is room for it among other events. */
static size_t message_max(enum kb_broker_role role, const struct kb_inbox *inbox)
{
	return role == KB_ROLE_CONSUME ? kb_inbox_message_max(inbox) : (size_t)kz_settings()->inbox_bytes / 4;
}

static struct kb_broker_config config_of(
	enum kb_broker_role role, size_t zone, const char *what, struct kb_inbox *inbox, const char *name)
{
	static struct kb_amqp_options options; /* a process has one connection */
	const struct kz_settings *s = kz_settings();
	options = (struct kb_amqp_options){.lead = kz_zone(zone)->lead};
	return (struct kb_broker_config){.urls = kz_zone(zone)->urls,
		.n_urls = kz_zone(zone)->n_urls,
		.client_name = name,
		.role = role,
		.connect_timeout_ms = s->connect_timeout_sec * 1000 + s->connect_timeout_micro / 1000,
		.heartbeat_s = s->heartbeats,
		.tls = tls_of_settings(),
		.message_max = message_max(role, inbox),
		.index = (uint32_t)zone,
		.traffic = kz_stats_connection(what, zone),
		.options = &options};
}

/* The name that the broker's own tools show. It contains the zone only for zones other than the primary one. */
static void name_connection(char name[NAME_BYTES], const char *what, size_t zone)
{
	const char *node = kz_settings()->node_hostname;
	if (zone == KZ_PRIMARY)
		snprintf(name, NAME_BYTES, "kamailio@%.200s %s", node, what);
	else
		snprintf(name, NAME_BYTES, "kamailio@%.200s zone %s %s", node, kz_zone(zone)->name, what);
}

/* The part that the publisher of a zone and the requester have in common. */
static struct kb_publisher publisher_of(size_t zone, const char *what, enum kz_source source, const char *name)
{
	return (struct kb_publisher){.api = &kb_amqp,
		.config = config_of(KB_ROLE_PUBLISH, zone, what, kz_inboxes_get(source, zone), name),
		.outbox = kz_message_outbox(),
		.inbox = kz_inboxes_get(source, zone),
		.zone = kz_zone(zone)->name,
		.name = what,
		.batch = (unsigned)kz_settings()->internal_loop_count,
		.timeout_ms = kz_settings_milliseconds(kz_settings()->interprocess_timeout),
		.retry_ms = kz_settings()->nack_retry_ms,
		.tick = kb_process_tick,
		.drain_ms = KB_PROCESS_DRAIN_MS,
		.stop = kb_process_stop};
}

static void publisher_main(void *argument)
{
	size_t zone = (size_t)(intptr_t)argument;
	char name[NAME_BYTES];
	name_connection(name, "publisher", zone);
	struct kb_publisher p = publisher_of(zone, "publisher", KZ_FROM_PUBLISHER, name);
	p.reader = zone;
	if (zone == KZ_PRIMARY)
		p.subscriptions = kz_subscriptions(&p.n_subscriptions);
	kb_publisher_run(&p);
}

/* Requests and replies have a connection of their own: on the others they would wait behind messages to publish, or
 * behind deliveries that no worker has room for. */
static void requester_main(void *argument)
{
	size_t zone = (size_t)(intptr_t)argument;
	char name[NAME_BYTES];
	name_connection(name, "requester", zone);
	struct kb_amqp_reply_queue queue = {.replies = kz_requester_replies(), .prefix = kz_requester_prefix()};
	struct kb_requester requester = {.bus = &kb_amqp_reply_queue,
		.context = &queue,
		.replies = kz_requester_replies(),
		.publisher = publisher_of(zone, "requester", KZ_FROM_REQUESTER, name)};
	requester.publisher.reader = kz_message_request_reader();
	kb_requester_run(&requester);
}

/* The subscriptions for a zone. Zones other than the primary one have the federated ones, perhaps on another exchange.
 */
static const struct kb_subscription *subscriptions_of(size_t zone, size_t *n)
{
	const struct kz_settings *s = kz_settings();
	const struct kb_subscription *all = kz_subscriptions(n);
	if (zone == KZ_PRIMARY || !s->use_federated_exchange || *n == 0)
		return all;
	struct kb_subscription *copy = malloc(*n * sizeof *copy);
	for (size_t i = 0; copy && i < *n; i++) {
		copy[i] = all[i];
		copy[i].exchange.name = s->federated_exchange;
	}
	return copy ? copy : all;
}

static void consumer_main(void *argument)
{
	size_t zone = (size_t)(intptr_t)argument;
	char name[NAME_BYTES];
	name_connection(name, "consumer", zone);
	struct kb_consumer c = {.api = &kb_amqp,
		.config = config_of(KB_ROLE_CONSUME, zone, "consumer", kz_inboxes_get(KZ_FROM_CONSUMER, zone), name),
		.inbox = kz_inboxes_get(KZ_FROM_CONSUMER, zone),
		.federated_only = zone != KZ_PRIMARY,
		.ack_batch = (unsigned)kz_settings()->ack_loop_count,
		.deliver_batch = (unsigned)kz_settings()->consumer_loop_count,
		.ack_timeout_ms = kz_settings_milliseconds(kz_settings()->ack_timeout),
		.read_timeout_ms = kz_settings_milliseconds(kz_settings()->waitframe_timeout),
		.drain_backlog = kz_settings()->consume_messages_on_reconnect,
		.single_worker_for_backlog = kz_settings()->single_consumer_on_reconnect,
		.zone = kz_zone(zone)->name,
		.tick = kb_process_tick,
		.stop = kb_process_stop};
	c.subscriptions = subscriptions_of(zone, &c.n_subscriptions);
	kb_consumer_run(&c);
}

/* -- starting -- */

/* What of the verification is off, and by what: a bit for each. */
static unsigned reason_of(const struct kb_amqp_address_options *o, const struct kb_tls_options *tls)
{
	if (tls->any_peer)
		return o->verify == KB_AMQP_VERIFY_NONE ? 1 : 2;
	if (tls->any_name)
		return o->any_name ? 4 : 8;
	return 0;
}

static bool check_tls_of(const struct kb_amqp_address *address, unsigned *warned)
{
	const struct kb_tls_options all = tls_of_settings();
	struct kb_tls_options tls = kb_amqp_address_tls(address, &all);
	unsigned reason = reason_of(&address->options, &tls);
	if (*warned & reason)
		tls.any_peer = tls.any_name = false; /* one warning is enough */
	*warned |= reason;
	return kb_tls_settings_check(&tls, "amqps", reason == 1 ? "verify=verify_none" : "amqps_verify_peer is 0",
		reason == 4 ? "server_name_indication=disable" : "amqps_verify_hostname is 0");
}

/* Whether the files can be used that addresses with TLS name, or the parameters for them. */
static bool check_tls(void)
{
	unsigned warned = 0;
	bool good = true;
	for (size_t i = 0; good && i < kz_settings()->n_urls; i++) {
		struct kb_amqp_address address;
		if (!kb_amqp_address_parse(kz_settings()->urls[i], &address) && address.tls)
			good = check_tls_of(&address, &warned);
		kb_amqp_address_free(&address);
	}
	return good;
}

bool kz_brokers_check(void)
{
	size_t bad = 0;
	struct kb_broker_config config = {.urls = kz_settings()->urls, .n_urls = kz_settings()->n_urls};
	struct kb_broker *broker = kb_amqp.open(&config, &(struct kb_broker_events){0}, &bad);
	if (!broker)
		LM_ERR(
			"amqp_connection: \"%s\" is invalid, see the line above\n", kb_settings_without_password(config.urls[bad]));
	kb_amqp.close(broker);
	return broker && check_tls();
}

int kz_brokers_processes(void)
{
	return 2 * (int)kz_zones() + 1;
}

static bool fork_for(size_t zone, const char *what, void (*body)(void *))
{
	static char names[2 * KZ_ZONES_MAX + 1][64];
	static size_t n;
	char *name = names[n++];
	bool primary = zone == KZ_PRIMARY;
	snprintf(name, sizeof *names, "kazoo %s%s%.40s", what, primary ? "" : " ", primary ? "" : kz_zone(zone)->name);
	return kb_process_fork(KB_PROCESS_BARE, name, body, (void *)(intptr_t)zone) == 0;
}

bool kz_brokers_fork(void)
{
	for (size_t zone = 0; zone < kz_zones(); zone++)
		if (!fork_for(zone, "consumer", consumer_main) || !fork_for(zone, "publisher", publisher_main))
			return false;
	return fork_for(KZ_PRIMARY, "requester", requester_main);
}
