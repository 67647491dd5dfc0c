#include "kamailio/nats/event.h"

#include <core/dprint.h>

#include <stdio.h>

#include "bus/listener.h"
#include "core/log.h"
#include "kamailio/glue/event_route.h"
#include "kamailio/glue/policy_reload.h"
#include "kamailio/glue/process.h"
#include "kamailio/nats/broker.h"
#include "kamailio/nats/delivery.h"
#include "kamailio/nats/settings.h"
#include "kamailio/nats/stats.h"
#include "nats/broker.h"
#include "policy/policy.h"

enum {
	ASK_POLICY = -100,
	UNROUTED_DELAY_MS = 30000, /* delay before a stream delivers a message again that had no route */
	UNROUTED_PAUSE_S = 60      /* between two lines about it */
};

/* The policy of this process; NULL when it runs no event routes. */
static struct kb_policy *policy;

struct listener {
	const struct kb_subscription *subscription;
	struct kb_connection *traffic;
	struct kb_log_limit unrouted;
	int route;       /* of each message; ASK_POLICY when the policy decides for each */
	char event[300]; /* nats:SUBJECT, for event_callback */
};

static bool has_policy(void)
{
	const char *file = kn_settings()->lua_policy;
	return file && file[0];
}

static bool has_callback(void)
{
	const char *callback = kn_settings()->event_callback;
	return callback && callback[0];
}

static int route_of_subscription(uint32_t i)
{
	return kb_policy_route(policy, &(struct kb_message){.origin.subscription = i}, kb_slice("", 0));
}

/* Without wildcards the default names depend on the subscription alone, so the policy is called once: a message takes
 * half a microsecond, of which Lua would take a fifth. */
static int fixed_route(const char *subject)
{
	int route = has_policy() || strpbrk(subject, "*>") ? ASK_POLICY : route_of_subscription(0);
	return route >= 0 ? route : ASK_POLICY;
}

static struct kb_policy *try_policy(struct kb_buf *why)
{
	struct kb_policy_config config = {
		.bus = "nats", .file = kn_settings()->lua_policy, .route_index = kb_event_route_index};
	return kb_policy_open(&config, why);
}

static struct kb_policy *open_policy(void)
{
	struct kb_buf error = {0};
	struct kb_policy *opened = try_policy(&error);
	if (!opened)
		LM_ERR("lua_policy: %.*s\n", (int)error.n, error.p ? error.p : "");
	kb_buf_free(&error);
	return opened;
}

static bool introduce(struct kb_policy *to, uint32_t i, const struct kb_subscription *s)
{
	return kb_policy_add_subscription(
		to, i, &(struct kb_policy_subscription){.subject = s->routing[0], .group = s->queue.name});
}

/* False when the policy does not load; then the previous one, if any, stays active. The listener is NULL in a process
 * that has none. */
static bool take_policy(struct listener *l)
{
	struct kb_policy *opened = open_policy();
	if (!opened || (l && !introduce(opened, 0, l->subscription))) {
		kb_policy_close(opened);
		return false;
	}
	kb_policy_close(policy);
	policy = opened;
	if (l)
		l->route = fixed_route(l->subscription->routing[0]);
	return true;
}

bool kn_event_policy_loads(struct kb_buf *why)
{
	struct kb_policy *opened = try_policy(why);
	kb_policy_close(opened);
	return opened != NULL;
}

static void take_new_policy(struct listener *l)
{
	if (kb_policy_reload_due() && take_policy(l))
		LM_NOTICE("lua_policy: reloaded\n");
}

void kn_event_tick(void *listener)
{
	kb_process_tick(NULL);
	take_new_policy(listener);
}

bool kn_event_begin(void)
{
	return take_policy(NULL);
}

static void log_unrouted(struct listener *l, const struct kb_message *m)
{
	struct kb_buf names = {0};
	if (kb_log_is_due(&l->unrouted))
		kb_policy_tried(policy, &names);
	kb_log_limited(&l->unrouted, KB_LOG_WARNING, "nats: no event route found for message on \"%.*s\", tried: %.*s%s",
		(int)(m->key.n < 200 ? m->key.n : 200), m->key.p ? m->key.p : "", (int)(names.n < 600 ? names.n : 600),
		names.p ? names.p : "", l->subscription->durable ? "; its stream will deliver it again" : "");
	kb_buf_free(&names);
}

/* A misspelt name must not lose a message that a stream has stored: it is delivered again. */
static void give_back(struct listener *l, struct kb_delivery *delivery)
{
	if (l->subscription->durable)
		kb_delivery_settle(delivery, KB_REQUEUE, UNROUTED_DELAY_MS);
}

static void run_route(struct listener *l, const struct kb_message *m, struct kb_delivery *delivery)
{
	int route = l->route == ASK_POLICY ? kb_policy_route(policy, m, m->payload) : l->route;
	if (route >= 0) {
		kb_event_route_run(route);
		return;
	}
	kb_traffic_drop(l->traffic, &m->origin, KB_DROP_NO_ROUTE);
	if (route == KB_POLICY_UNWANTED)
		return;
	log_unrouted(l, m);
	give_back(l, delivery);
}

static bool on_delivered(void *context, const struct kb_message *m, struct kb_delivery *delivery)
{
	struct listener *l = context;
	take_new_policy(l);
	kn_delivery_begin(m, delivery);
	if (!has_callback())
		run_route(l, m, delivery);
	else if (!kb_event_route_run_callback(kn_settings()->event_callback, l->event))
		give_back(l, delivery);
	kn_delivery_end();
	return true;
}

void kn_event_notice(void *context, const char *name)
{
	char event[64];
	(void)context;
	if (has_callback()) {
		snprintf(event, sizeof event, "nats:%s", name);
		kb_event_route_run_callback(kn_settings()->event_callback, event);
		return;
	}
	struct kb_message m = {.exchange = kb_slice_from(name), .origin.subscription = KB_ORIGIN_EVENT};
	int route = kb_policy_route(policy, &m, kb_slice("", 0));
	if (route >= 0)
		kb_event_route_run(route);
}

void kn_event_connection(void *context, bool open, const char *address)
{
	(void)address;
	kn_event_notice(context, open ? "connected" : "disconnected");
}

bool kn_event_is_for_publishers(void)
{
	static const char *const names[] = {
		"nats:connected", "nats:disconnected", "nats:lame-duck", "nats:discovered-servers", "nats:slow-consumer"};
	bool wanted = has_callback() || has_policy();
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		wanted = wanted || kb_event_route_index(names[i], NULL) >= 0;
	return wanted && !kn_settings()->n_subscriptions;
}

/* Without wildcards and a policy these are the only names of routes that a message can reach. */
static void check_route(uint32_t i)
{
	const struct kb_subscription *s = &kn_settings()->subscriptions[i];
	struct kb_buf names = {0};
	if (!introduce(policy, i, s) || route_of_subscription(i) >= 0)
		return;
	kb_policy_tried(policy, &names);
	LM_WARN("%s: no event route found for \"%s\", tried: %.*s\n",
		s->durable ? "nats_js_consumer" : "subject_queue_group", s->routing[0], (int)names.n, names.p ? names.p : "");
	kb_buf_free(&names);
}

static void check_routes(void)
{
	const struct kn_settings *s = kn_settings();
	for (size_t i = 0; i < s->n_subscriptions; i++)
		if (!strpbrk(s->subjects[i], "*>"))
			check_route((uint32_t)i);
}

bool kn_event_check_policy(void)
{
	if (!take_policy(NULL))
		return false;
	if (has_callback() && has_policy())
		LM_WARN("lua_policy: \"%s\" is never used: event_callback \"%s\" receives all events\n",
			kn_settings()->lua_policy, kn_settings()->event_callback);
	else if (!has_callback() && !has_policy())
		check_routes();
	kb_policy_close(policy);
	policy = NULL;
	return true;
}

static void listener_main(void *argument)
{
	const struct kb_subscription *s = argument;
	struct listener l = {.subscription = s, .unrouted = {.pause = UNROUTED_PAUSE_S}};
	char name[300];
	if (!take_policy(&l))
		return;
	snprintf(l.event, sizeof l.event, "nats:%s", s->routing[0]);
	snprintf(name, sizeof name, "kamailio %s:%s", s->routing[0], s->queue.name);
	struct kb_broker_config config = kn_broker_config(KB_ROLE_CONSUME, name);
	config.traffic = l.traffic = kn_stats_connection(name);
	kb_listener_run(&(struct kb_listener){.api = &kb_nats,
		.config = config,
		.subscriptions = s,
		.n_subscriptions = 1,
		.context = &l,
		.delivered = on_delivered,
		.connection = kn_event_connection,
		.notice = kn_event_notice,
		.tick = kn_event_tick});
}

bool kn_event_fork(void)
{
	static char names[KN_SUBSCRIPTIONS_MAX][64];
	const struct kn_settings *s = kn_settings();
	for (size_t i = 0; i < s->n_subscriptions; i++) {
		snprintf(names[i], sizeof names[i], "nats subscriber %s", s->subjects[i]);
		if (kb_process_fork(KB_PROCESS_ROUTES, names[i], listener_main, (void *)(uintptr_t)&s->subscriptions[i]) < 0)
			return false;
	}
	return true;
}
