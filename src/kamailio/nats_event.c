#include "kamailio/nats_module.h"

#include <core/dprint.h>

#include <stdio.h>

#include "broker/listener.h"
#include "core/log.h"
#include "kamailio/event_route.h"
#include "kamailio/message_pv.h"
#include "kamailio/process.h"
#include "kamailio/script.h"
#include "policy/policy.h"

/* The message whose route runs in this process; NULL outside of one. */
static const struct kb_message *current;

struct listener {
	struct kb_policy *policy;
	int route;       /* of every message, when no operator's policy chooses one for each; else ASK_POLICY */
	char event[300]; /* nats:SUBJECT, for event_callback */
};

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

enum { ASK_POLICY = -100 };

/* The default names depend on the subscription alone, so they are asked for once: a message takes half a microsecond,
 * Lua a fifth of that. */
static int fixed_route(struct kb_policy *policy)
{
	const char *file = kn_settings()->lua_policy;
	return file && file[0] ? ASK_POLICY : kb_policy_route(policy, &(struct kb_message){0}, kb_slice("", 0));
}

static bool has_callback(void)
{
	const char *callback = kn_settings()->event_callback;
	return callback && callback[0];
}

static bool on_delivered(void *context, const struct kb_message *m)
{
	struct listener *l = context;
	current = m;
	if (has_callback()) {
		kb_event_callback_run(kn_settings()->event_callback, l->event);
	} else {
		int route = l->route == ASK_POLICY ? kb_policy_route(l->policy, m, m->payload) : l->route;
		if (route >= 0)
			kb_event_route_run(route);
	}
	current = NULL;
	return true;
}

static void on_connection(void *context, bool open, const char *address)
{
	(void)context, (void)address;
	kb_event_run_by_name(kn_settings()->event_callback, open ? "nats:connected" : "nats:disconnected");
}

static struct kb_policy *open_policy(void)
{
	struct kb_buf error = {0};
	struct kb_policy_config config = {
		.bus = "nats", .file = kn_settings()->lua_policy, .route_index = kb_event_route_index};
	struct kb_policy *policy = kb_policy_open(&config, &error);
	if (!policy)
		LM_ERR("lua_policy: %.*s\n", (int)error.n, error.p ? error.p : "");
	kb_buf_free(&error);
	return policy;
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
	struct listener l = {.policy = open_policy()};
	struct kb_policy_subscription seen = {.subject = s->routing[0], .group = s->queue.name};
	char name[300];
	if (!l.policy || !kb_policy_add_subscription(l.policy, 0, &seen))
		return;
	l.route = fixed_route(l.policy);
	snprintf(l.event, sizeof l.event, "nats:%s", s->routing[0]);
	snprintf(name, sizeof name, "kamailio %s:%s", s->routing[0], s->queue.name);
	kb_listener_run(&(struct kb_listener){.api = &kb_nats,
		.config = kn_broker_config(KB_ROLE_CONSUME, name),
		.subscriptions = s,
		.n_subscriptions = 1,
		.context = &l,
		.delivered = on_delivered,
		.connection = on_connection,
		.tick = kb_process_tick});
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
