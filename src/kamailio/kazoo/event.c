#include "kamailio/kazoo/event.h"

#include <core/dprint.h>
#include <core/pt.h>

#include <stdio.h>

#include "core/json.h"
#include "core/log.h"
#include "kamailio/glue/event_route.h"
#include "kamailio/glue/policy_reload.h"
#include "kamailio/glue/process.h"
#include "kamailio/kazoo/delivery.h"
#include "kamailio/kazoo/inboxes.h"
#include "kamailio/kazoo/reception.h"
#include "kamailio/kazoo/settings.h"
#include "kamailio/kazoo/stats.h"
#include "kamailio/kazoo/subscriptions.h"
#include "policy/policy.h"

enum { IDLE_MS = 1000, UNROUTED_PAUSE_S = 60 /* between two lines about messages without a route */ };

struct worker {
	size_t index;
	struct kb_policy *policy;
	struct kb_buf payload; /* the current message, as routes see it */
	struct kb_log_limit unreadable, unrouted;
};

/* -- one message -- */

/* Rejected, like messages that are too large, so that a dead-letter exchange can keep it for analysis. */
static enum kb_outcome discard_unreadable(
	struct worker *w, const struct kb_message *m, const struct kb_json_error *error)
{
	kb_traffic_dropped(kb_counts_traffic(), &m->origin, KB_DROP_UNREADABLE);
	kb_log_limited(&w->unreadable, KB_LOG_WARNING,
		"discarding message on exchange \"%.*s\" with routing key \"%.*s\": %s at byte %zu of %zu: %.*s",
		KB_SLICE_FMT(m->exchange), KB_SLICE_FMT(m->key), error->what ? error->what : "unreadable payload", error->at,
		m->payload.n, KB_SLICE_FMT(m->payload));
	return KB_REJECTED;
}

/* Logs one line in UNROUTED_PAUSE_S: enough to find a misspelt name, and few for a subscription that receives more than
 * there are routes for. */
static void discard_unrouted(struct worker *w, const struct kb_message *m, bool wanted)
{
	struct kb_buf names = {0};
	kb_traffic_dropped(kb_counts_traffic(), &m->origin, KB_DROP_NO_ROUTE);
	if (!wanted || m->origin.subscription == KB_ORIGIN_EVENT)
		return;
	if (kb_log_is_due(&w->unrouted))
		kb_policy_tried(w->policy, &names);
	kb_log_limited(&w->unrouted, KB_LOG_WARNING,
		"kazoo: no event route found for message with routing key \"%.*s\", tried: %.*s", KB_SLICE_FMT(m->key),
		(int)(names.n < 600 ? names.n : 600), names.p ? names.p : "");
	kb_buf_free(&names);
}

static bool has_callback(void)
{
	return kz_settings()->event_callback && kz_settings()->event_callback[0];
}

/* The outcome of the message unless a route has settled it. */
static enum kb_outcome run_route(
	struct worker *w, const struct kb_message *m, bool readable, const struct kb_json_error *error)
{
	if (has_callback()) {
		kb_event_route_run_callback(
			kz_settings()->event_callback, readable ? "kazoo:consumer-event" : "kazoo:consumer-event-raw");
		return KB_DONE;
	}
	int route = kb_policy_route(w->policy, m, kz_delivery_payload());
	if (route >= 0) {
		kb_event_route_run(route);
	} else if (!readable) {
		return discard_unreadable(w, m, error);
	} else {
		discard_unrouted(w, m, route != KB_POLICY_UNWANTED);
	}
	return KB_DONE;
}

static const struct kb_subscription *subscription_of(const struct kb_message *m)
{
	size_t count;
	const struct kb_subscription *s = kz_subscriptions(&count);
	return m->origin.subscription < count ? &s[m->origin.subscription] : NULL;
}

static void handle(struct worker *w, struct kb_inbox *inbox, struct kb_record *record, const struct kb_message *m)
{
	struct kb_json_error error = {0};
	bool own_event = m->origin.subscription == KB_ORIGIN_EVENT;
	bool readable = own_event || kz_reception_payload(m->origin.broker, m->payload, &w->payload, &error);
	const struct kb_message *current = kz_delivery_begin(&(struct kz_delivery){.inbox = inbox,
		.worker = w->index,
		.record = record,
		.message = m,
		.subscription = subscription_of(m),
		.payload = own_event || !readable ? m->payload : kb_buf_slice(&w->payload)});
	kz_delivery_end(run_route(w, current, readable, &error));
}

/* -- the worker process -- */

static struct kb_policy_config policy_config(void)
{
	return (struct kb_policy_config){.bus = "kazoo",
		.file = kz_settings()->lua_policy,
		.event_key = kz_settings()->event_key,
		.event_subkey = kz_settings()->event_subkey,
		.route_index = kb_event_route_index};
}

static struct kb_policy *open_policy(void)
{
	struct kb_buf error = {0};
	struct kb_policy_config config = policy_config();
	struct kb_policy *policy = kb_policy_open(&config, &error);
	if (!policy)
		LM_ERR("lua_policy: %.*s\n", (int)error.n, error.p ? error.p : "");
	kb_buf_free(&error);
	return policy;
}

static bool introduce_subscriptions(struct kb_policy *policy)
{
	size_t count;
	const struct kb_subscription *s = kz_subscriptions(&count);
	for (size_t i = 0; i < count; i++) {
		struct kb_policy_subscription seen = {.event_key = s[i].event_key,
			.event_subkey = s[i].event_subkey,
			.exchange = s[i].exchange.name,
			.queue = s[i].queue.name};
		if (!kb_policy_add_subscription(policy, (uint32_t)i, &seen))
			return false;
	}
	return true;
}

/* The old policy stays active when the new one fails to load. The RPC command has checked it, so this happens only when
 * the file changed again. */
static void reload_policy(struct worker *w)
{
	struct kb_policy *policy = open_policy();
	if (policy && introduce_subscriptions(policy)) {
		kb_policy_close(w->policy);
		w->policy = policy;
		LM_NOTICE("lua_policy: reloaded\n");
	} else {
		kb_policy_close(policy);
	}
}

static void worker_main(void *argument)
{
	struct worker w = {
		.index = (size_t)(intptr_t)argument, .policy = open_policy(), .unrouted = {.pause = UNROUTED_PAUSE_S}};
	if (!w.policy || !introduce_subscriptions(w.policy))
		return;
	for (;;) {
		struct kb_message m;
		kb_process_tick(NULL); /* costs two comparisons */
		if (kb_policy_reload_due())
			reload_policy(&w);
		struct kb_inbox *inbox;
		struct kb_record *record = kz_inboxes_next(w.index, &inbox, &m);
		if (record)
			handle(&w, inbox, record, &m);
		else
			kz_inboxes_wait(w.index, IDLE_MS);
	}
}

/* -- starting -- */

bool kz_event_policy_loads(struct kb_buf *why)
{
	struct kb_policy_config config = policy_config();
	struct kb_policy *policy = kb_policy_open(&config, why);
	kb_policy_close(policy);
	return policy != NULL;
}

bool kz_event_check_policy(void)
{
	const char *file = kz_settings()->lua_policy;
	struct kb_policy *policy = open_policy();
	if (policy && file && file[0] && has_callback())
		LM_WARN("lua_policy: \"%s\" is never used: event_callback \"%s\" receives all events\n", file,
			kz_settings()->event_callback);
	kb_policy_close(policy);
	return policy != NULL;
}

bool kz_event_fork(void)
{
	static char names[512][32];
	for (int i = 0; i < kz_settings()->workers; i++) {
		snprintf(names[i], sizeof names[i], "kazoo worker %d", i);
		if (kb_process_fork(KB_PROCESS_ROUTES, names[i], worker_main, (void *)(intptr_t)i) < 0)
			return false;
	}
	return true;
}
