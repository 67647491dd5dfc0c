#include "kamailio/nats_module.h"

#include <core/dprint.h>

#include <stdio.h>

#include "broker/listener.h"
#include "core/log.h"
#include "kamailio/event_route.h"
#include "kamailio/message_pv.h"
#include "kamailio/nats_stats.h"
#include "kamailio/policy_reload.h"
#include "kamailio/process.h"
#include "kamailio/script.h"
#include "policy/policy.h"

/* The message whose route runs in this process; NULL outside of one. */
static const struct kb_message *current;
static struct kb_delivery *current_delivery;

struct listener {
	struct kb_policy *policy;
	const struct kb_subscription *subscription;
	struct kb_connection *traffic;
	int route;       /* of every message, when no operator's policy chooses one for each; else ASK_POLICY */
	char event[300]; /* nats:SUBJECT, for event_callback */
};

const struct kb_message *kn_current(void)
{
	return current;
}

struct kb_delivery *kn_current_delivery(void)
{
	return current_delivery;
}

/* An empty part is a text of no bytes, not null. */
static struct kb_slice present(struct kb_slice part)
{
	return kb_slice(part.p ? part.p : "", part.n);
}

int kn_pv_data(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return current ? kb_pv_text(msg, parameter, value, present(current->payload)) : pv_get_null(msg, parameter, value);
}

int kn_pv_subject(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return current ? kb_pv_text(msg, parameter, value, current->key) : pv_get_null(msg, parameter, value);
}

int kn_pv_reply(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return current && current->reply.n ? kb_pv_text(msg, parameter, value, current->reply)
									   : pv_get_null(msg, parameter, value);
}

int kn_pv_header(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return current ? kb_pv_entry(msg, parameter, value, current->headers) : pv_get_null(msg, parameter, value);
}

int kn_pv_property(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return current ? kb_pv_entry(msg, parameter, value, current->properties) : pv_get_null(msg, parameter, value);
}

enum { ASK_POLICY = -100 };

/* Without wildcards the default names depend on the subscription alone, so they are asked for once: a message takes
 * half a microsecond, Lua a fifth of that. */
static int fixed_route(struct kb_policy *policy, const char *subject)
{
	const char *file = kn_settings()->lua_policy;
	bool fixed = !(file && file[0]) && !strpbrk(subject, "*>");
	return fixed ? kb_policy_route(policy, &(struct kb_message){0}, kb_slice("", 0)) : ASK_POLICY;
}

static bool has_callback(void)
{
	const char *callback = kn_settings()->event_callback;
	return callback && callback[0];
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
	struct kb_policy *policy = try_policy(&error);
	if (!policy)
		LM_ERR("lua_policy: %.*s\n", (int)error.n, error.p ? error.p : "");
	kb_buf_free(&error);
	return policy;
}

/* False: the policy does not load, and the one before, if any, stays. */
static bool take_policy(struct listener *l)
{
	const struct kb_subscription *s = l->subscription;
	struct kb_policy_subscription seen = {.subject = s->routing[0], .group = s->queue.name};
	struct kb_policy *policy = open_policy();
	if (!policy || !kb_policy_add_subscription(policy, 0, &seen)) {
		kb_policy_close(policy);
		return false;
	}
	kb_policy_close(l->policy);
	l->policy = policy;
	l->route = fixed_route(policy, s->routing[0]);
	return true;
}

bool kn_event_policy_loads(struct kb_buf *why)
{
	struct kb_policy *policy = try_policy(why);
	kb_policy_close(policy);
	return policy != NULL;
}

static void take_new_policy(struct listener *l)
{
	if (kb_policy_reload_due() && take_policy(l))
		LM_NOTICE("lua_policy: loaded anew\n");
}

static void on_tick(void *context)
{
	kb_process_tick(NULL);
	take_new_policy(context);
}

static bool on_delivered(void *context, const struct kb_message *m, struct kb_delivery *delivery)
{
	struct listener *l = context;
	take_new_policy(l);
	current = m;
	current_delivery = delivery;
	if (has_callback()) {
		kb_event_callback_run(kn_settings()->event_callback, l->event);
	} else {
		int route = l->route == ASK_POLICY ? kb_policy_route(l->policy, m, m->payload) : l->route;
		if (route >= 0)
			kb_event_route_run(route);
		else
			kb_traffic_drop(l->traffic, &m->origin, KB_DROP_NO_ROUTE);
	}
	current = NULL;
	current_delivery = NULL;
	return true;
}

void kn_event_connection(void *context, bool open, const char *address)
{
	(void)context, (void)address;
	kb_event_run_by_name(kn_settings()->event_callback, open ? "nats:connected" : "nats:disconnected");
}

void kn_event_notice(void *context, const char *name)
{
	char event[64];
	(void)context;
	snprintf(event, sizeof event, "nats:%s", name);
	kb_event_run_by_name(kn_settings()->event_callback, event);
}

bool kn_event_is_for_publishers(void)
{
	static const char *const names[] = {
		"nats:connected", "nats:disconnected", "nats:lame-duck", "nats:discovered-servers", "nats:slow-consumer"};
	bool wanted = has_callback();
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		wanted = wanted || kb_event_route_index(names[i], NULL) >= 0;
	return wanted && !kn_settings()->n_subscriptions;
}

bool kn_event_check_policy(void)
{
	struct kb_policy *policy = open_policy();
	kb_policy_close(policy);
	return policy != NULL;
}

static void listener_main(void *argument)
{
	const struct kb_subscription *s = argument;
	struct listener l = {.subscription = s};
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
		.tick = on_tick});
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
