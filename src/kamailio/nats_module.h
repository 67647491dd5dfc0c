/* The parts of the nats module, and the settings that they share. nats_mod.c is the table of their names. */
#ifndef KB_KAMAILIO_NATS_MODULE_H
#define KB_KAMAILIO_NATS_MODULE_H

#include <core/parser/msg_parser.h>
#include <core/pvar.h>
#include <core/sr_module.h>

#include <stdbool.h>

#include "broker/broker.h"
#include "core/outbox.h"

enum { KN_URLS_MAX = 16, KN_SUBSCRIPTIONS_MAX = 256 };

/* Set by modparam before mod_init and read-only after it. Strings are never freed. */
struct kn_settings {
	const char *urls[KN_URLS_MAX];
	size_t n_urls;
	struct kb_subscription subscriptions[KN_SUBSCRIPTIONS_MAX]; /* one process each */
	const char *subjects[KN_SUBSCRIPTIONS_MAX];                 /* what their `routing` points to */
	size_t n_subscriptions;
	int publish_workers;
	int outbox_bytes;
	char *event_callback, *lua_policy;
};

const struct kn_settings *kn_settings(void);
extern param_export_t kn_parameters[];

/* In mod_init: false and a log line that names the parameter, its value and what would be right. */
bool kn_settings_check(void);

/* What broker.h wants to know; `name` must live as long as the broker. */
struct kb_broker_config kn_broker_config(enum kb_broker_role role, const char *name);

/* -- publishing (nats_publish.c) -- */

/* In child_init(PROC_INIT), when the number of processes is known. */
bool kn_publish_init(void);
struct kb_outbox *kn_outbox(void);
bool kn_publish_fork(void);

int kn_publish2(struct sip_msg *msg, char *subject, char *payload);
int kn_publish3(struct sip_msg *msg, char *subject, char *payload, char *reply);
int kn_kemi_publish(struct sip_msg *msg, str *subject, str *payload);
int kn_kemi_publish_request(struct sip_msg *msg, str *subject, str *payload, str *reply);

/* -- events (nats_event.c) -- */

/* In mod_init: loads the Lua policy once, so that a bad one stops the start. */
bool kn_event_check_policy(void);

/* Whether the policy can be loaded as it is now, and why not. */
bool kn_event_policy_loads(struct kb_buf *why);
bool kn_event_fork(void);

/* $natsData, $natsSubject, $natsReply, $natsHdr(name): null outside of an event. */
int kn_pv_data(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_pv_subject(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_pv_reply(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_pv_header(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);

#endif
