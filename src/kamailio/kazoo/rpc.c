#include "kamailio/kazoo/rpc.h"

#include <core/dprint.h>
#include <core/rpc_lookup.h>

#include "kamailio/glue/policy_reload.h"
#include "kamailio/glue/report.h"
#include "kamailio/kazoo/event.h"
#include "kamailio/kazoo/settings.h"
#include "kamailio/kazoo/stats.h"

static void show_stats(rpc_t *rpc, void *context)
{
	kb_report_statistics(rpc, context, kz_statistics);
}

static void show_connections(rpc_t *rpc, void *context)
{
	kb_report_connections(rpc, context);
}

static void show_subscriptions(rpc_t *rpc, void *context)
{
	kb_report_subscriptions(rpc, context, KB_REPORT_QUEUES);
}

static void show_queries(rpc_t *rpc, void *context)
{
	void *structure = kb_report_requests(rpc, context, KZ_QUERIES);
	if (!structure)
		return;
	kb_report_number(rpc, structure, "unroutable", kb_counts_of_processes(KZ_QUERIES_UNROUTABLE));
	kb_report_number(rpc, structure, "unreadable", kb_counts_of_processes(KZ_QUERIES_UNREADABLE));
	kb_report_number(rpc, structure, "unmatched", kb_counts_of_connections(offsetof(struct kb_connection, unmatched)));
}

static void reload_policy(rpc_t *rpc, void *context)
{
	kb_policy_reload_rpc(rpc, context, kz_settings()->lua_policy, kz_event_policy_loads);
}

#define DOC(text)                                                                                                      \
	(const char *[])                                                                                                   \
	{                                                                                                                  \
		text, NULL                                                                                                     \
	}
static rpc_export_t commands[] = {
	{"kazoo.stats", show_stats, DOC("All counters of the kazoo module."), 0},
	{"kazoo.connections", show_connections, DOC("Each connection to a broker: address, state, traffic."), RET_ARRAY},
	{"kazoo.subscriptions", show_subscriptions, DOC("Each subscription: state and outcomes of its messages."),
		RET_ARRAY},
	{"kazoo.queries", show_queries, DOC("Outcomes of kazoo_query and response times."), 0},
	{"kazoo.policy_reload", reload_policy, DOC("Reloads lua_policy; if that fails, the old policy stays active."), 0},
	{0, 0, 0, 0},
};

bool kz_rpc_register(void)
{
	if (rpc_register_array(commands) == 0)
		return true;
	LM_ERR("cannot register the RPC commands\n");
	return false;
}
