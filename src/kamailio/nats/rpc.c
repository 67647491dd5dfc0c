#include "kamailio/nats/rpc.h"

#include <core/dprint.h>
#include <core/rpc_lookup.h>

#include "kamailio/glue/policy_reload.h"
#include "kamailio/glue/report.h"
#include "kamailio/nats/event.h"
#include "kamailio/nats/settings.h"
#include "kamailio/nats/stats.h"

static void show_stats(rpc_t *rpc, void *context)
{
	kb_report_statistics(rpc, context, kn_statistics);
}

static void show_connections(rpc_t *rpc, void *context)
{
	kb_report_connections(rpc, context);
}

static void show_subscriptions(rpc_t *rpc, void *context)
{
	kb_report_subscriptions(rpc, context, KB_REPORT_SUBJECTS);
}

static void show_requests(rpc_t *rpc, void *context)
{
	void *structure = kb_report_requests(rpc, context, KN_REQUESTS);
	if (!structure)
		return;
	kb_report_number(rpc, structure, "no_responders", kb_counts_of_processes(KN_REQUESTS + KB_REQUESTS_NO_RESPONDERS));
	kb_report_number(rpc, structure, "forbidden", kb_counts_of_processes(KN_REQUESTS + KB_REQUESTS_FORBIDDEN));
}

static void reload_policy(rpc_t *rpc, void *context)
{
	kb_policy_reload_rpc(rpc, context, kn_settings()->lua_policy, kn_event_policy_loads);
}

#define DOC(text)                                                                                                      \
	(const char *[])                                                                                                   \
	{                                                                                                                  \
		text, NULL                                                                                                     \
	}
static rpc_export_t commands[] = {
	{"nats.stats", show_stats, DOC("All counters of the nats module."), 0},
	{"nats.connections", show_connections, DOC("Each connection to a server: address, state, traffic."), RET_ARRAY},
	{"nats.subscriptions", show_subscriptions, DOC("Each subscription: state and outcomes of its messages."),
		RET_ARRAY},
	{"nats.requests", show_requests, DOC("Outcomes of requests and response times."), 0},
	{"nats.policy_reload", reload_policy, DOC("Reloads lua_policy; if that fails, the old policy stays active."), 0},
	{0, 0, 0, 0},
};

bool kn_rpc_register(void)
{
	if (rpc_register_array(commands) == 0)
		return true;
	LM_ERR("cannot register the RPC commands\n");
	return false;
}
