#include "kamailio/nats_stats.h"

#include <core/dprint.h>
#include <core/pt.h>

#include <errno.h>
#include <string.h>

#include "kamailio/nats_module.h"

enum { CONNECTIONS_MAX = 1024, SUBSCRIPTIONS_MAX = KN_SUBSCRIPTIONS_MAX }; /* address space only */

static struct kb_stats *stats;
static struct kb_traffic *traffic;

bool kn_stats_init(void)
{
	stats = kb_stats_create((size_t)get_max_procs(), KN_STATS);
	traffic = kb_traffic_create(CONNECTIONS_MAX, SUBSCRIPTIONS_MAX);
	if (!stats || !traffic)
		LM_ERR("no shared memory for statistics: %s\n", strerror(errno));
	return stats && traffic;
}

struct kb_connection *kn_stats_connection(const char *name)
{
	return kb_traffic_connection(traffic, name, NULL, 0);
}

void kn_stats_count(enum kn_stat stat)
{
	if (stats)
		kb_count(&kb_stats_row(stats, (size_t)process_no)[stat], 1);
}

const struct kb_traffic *kn_stats_traffic(void)
{
	return traffic;
}

/* -- reading -- */

static struct kb_outbox_totals totals(void)
{
	return kn_outbox() ? kb_outbox_totals(kn_outbox()) : (struct kb_outbox_totals){0};
}

static uint64_t of_outbox(size_t offset)
{
	struct kb_outbox_totals t = totals();
	return *(const uint64_t *)(const void *)((const char *)&t + offset);
}

static uint64_t refused_invalid(size_t unused)
{
	(void)unused;
	return stats ? kb_stats_sum(stats, KN_REFUSED_INVALID) : 0;
}

static uint64_t refused(size_t unused)
{
	return totals().refused + refused_invalid(unused);
}

static uint64_t refused_full(size_t unused)
{
	(void)unused;
	struct kb_outbox_totals t = totals();
	return t.refused - t.too_large;
}

static uint64_t outbox_messages(size_t unused)
{
	(void)unused;
	return kb_outbox_messages(kn_outbox(), traffic);
}

static uint64_t of_connections(size_t offset)
{
	return kb_traffic_sum(traffic, offset);
}

static uint64_t of_subscriptions(size_t offset)
{
	return kb_traffic_subscription_sum(traffic, offset);
}

static uint64_t in_state(size_t state)
{
	return kb_traffic_in_state(traffic, (enum kb_connection_state)state);
}

static uint64_t reconnects(size_t unused)
{
	(void)unused;
	return kb_reconnects(traffic);
}

#define OUTBOX(field) of_outbox, offsetof(struct kb_outbox_totals, field)
#define CONNECTIONS(field) of_connections, offsetof(struct kb_connection, field)
#define SUBSCRIPTIONS(field) of_subscriptions, offsetof(struct kb_subscription_traffic, field)

const struct kb_statistic kn_statistics[] = {
	{"published", "messages that were accepted into the outbox", OUTBOX(accepted)},
	{"sent", "messages that went to a server", CONNECTIONS(sent_only)},
	{"refused", "calls that published nothing, for any of the reasons below", refused, 0},
	{"refused_full", "... the outbox of the process was full", refused_full, 0},
	{"refused_too_large", "... the message can never fit into the outbox", OUTBOX(too_large)},
	{"refused_invalid", "... subject or reply is no subject to publish to", refused_invalid, 0},
	{"publish_invalid", "accepted messages that the server would not take (max_payload)", CONNECTIONS(invalid)},
	{"outbox_messages", "messages in the outbox now", outbox_messages, 0},
	{"outbox_bytes", "bytes of the outbox in use now", OUTBOX(bytes_used)},
	{"outbox_bytes_high", "the most bytes that the outbox of one process has held", OUTBOX(bytes_high)},
	{"delivered", "messages for subscriptions", SUBSCRIPTIONS(delivered)},
	{"dropped_no_route", "deliveries for which there is no event route", SUBSCRIPTIONS(dropped[KB_DROP_NO_ROUTE])},
	{"connections_open", "connections that are open", in_state, KB_CONNECTION_OPEN},
	{"reconnects", "connections that were opened again", reconnects, 0},
	{0, 0, 0, 0},
};

bool kn_stats_register(void)
{
	return kb_statistics_register("nats", kn_statistics) && kn_rpc_register();
}
