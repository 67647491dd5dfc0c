/* The RPC commands of the kazoo module. */
#include "kamailio/kazoo_stats.h"

#include <core/dprint.h>
#include <core/rpc_lookup.h>

#include <stdio.h>

#include "kamailio/kazoo_query.h"
#include "kamailio/kazoo.h"
#include "kamailio/policy_reload.h"
#include "kamailio/report.h"

static void show_stats(rpc_t *rpc, void *context)
{
	kb_rpc_statistics(rpc, context, kz_statistics);
}

static void show_connections(rpc_t *rpc, void *context)
{
	kb_rpc_connections(rpc, context, kz_stats_traffic());
}

static void show_subscriptions(rpc_t *rpc, void *context)
{
	kb_rpc_subscriptions(rpc, context, kz_stats_traffic(), KB_REPORT_QUEUES);
}

/* Each bucket that is not empty, by the microseconds that its values are below. */
static void add_buckets(rpc_t *rpc, void *structure, const struct kb_histogram *h)
{
	void *buckets;
	char name[32];
	if (rpc->struct_add(structure, "{", "answered_below_us", &buckets) < 0)
		return;
	for (size_t i = 0; i < KB_HISTOGRAM_BUCKETS; i++) {
		if (!h->buckets[i])
			continue;
		snprintf(name, sizeof name, "%llu", (unsigned long long)kb_histogram_least(i + 1));
		kb_rpc_number(rpc, buckets, name, h->buckets[i]);
	}
}

static void show_queries(rpc_t *rpc, void *context)
{
	struct kb_histogram h = {0};
	void *structure;
	if (!kz_stats_query_times(&h) || rpc->add(context, "{", &structure) < 0) {
		rpc->fault(context, 500, "not ready");
		return;
	}
	kb_rpc_number(rpc, structure, "under_way", kb_replies_under_way(kz_replies()));
	kb_rpc_number(rpc, structure, "answered", kz_stats_sum(KZ_QUERIES_ANSWERED));
	kb_rpc_number(rpc, structure, "timeout", kz_stats_sum(KZ_QUERIES_TIMEOUT));
	kb_rpc_number(rpc, structure, "lost", kz_stats_sum(KZ_QUERIES_LOST));
	kb_rpc_number(rpc, structure, "refused", kz_stats_sum(KZ_QUERIES_REFUSED));
	kb_rpc_number(rpc, structure, "mean_us", h.count ? h.sum_us / h.count : 0);
	kb_rpc_number(rpc, structure, "p50_us", kb_histogram_percentile(&h, 50));
	kb_rpc_number(rpc, structure, "p90_us", kb_histogram_percentile(&h, 90));
	kb_rpc_number(rpc, structure, "p99_us", kb_histogram_percentile(&h, 99));
	add_buckets(rpc, structure, &h);
}

static void reload_policy(rpc_t *rpc, void *context)
{
	kb_rpc_policy_reload(rpc, context, kz_settings()->lua_policy, kz_event_policy_loads);
}

#define DOC(text)                                                                                                      \
	(const char *[])                                                                                                   \
	{                                                                                                                  \
		text, NULL                                                                                                     \
	}
static rpc_export_t commands[] = {
	{"kazoo.stats", show_stats, DOC("All counters of the kazoo module."), 0},
	{"kazoo.connections", show_connections, DOC("Each connection to a broker: address, state, traffic."), RET_ARRAY},
	{"kazoo.subscriptions", show_subscriptions, DOC("Each subscription: state, and what became of its messages."),
		RET_ARRAY},
	{"kazoo.queries", show_queries, DOC("Outcomes of kazoo_query and how long the answers took."), 0},
	{"kazoo.policy_reload", reload_policy, DOC("Loads lua_policy anew; one that fails to load changes nothing."), 0},
	{0, 0, 0, 0},
};

bool kz_rpc_register(void)
{
	if (rpc_register_array(commands) == 0)
		return true;
	LM_ERR("cannot register the RPC commands\n");
	return false;
}
