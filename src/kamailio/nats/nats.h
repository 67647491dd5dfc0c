/* The parts of the nats module, and the settings that they share. module.c is the table of their names. */
#ifndef KB_KAMAILIO_NATS_NATS_H
#define KB_KAMAILIO_NATS_NATS_H

#include <core/parser/msg_parser.h>
#include <core/pvar.h>
#include <core/sr_module.h>

#include <stdbool.h>

#include "bus/broker.h"
#include "nats/kv.h"
#include "core/outbox.h"

enum {
	KN_URLS_MAX = 16,
	KN_SUBSCRIPTIONS_MAX = 256,
	KN_BUCKETS_MAX = 64,
	KN_TIMEOUT_MAX_MS = 3600000,
	KN_INBOX_PREFIX_MAX = 200 /* bytes */
};

/* Set by modparam before mod_init and read-only after it. Strings are never freed. */
struct kn_settings {
	const char *urls[KN_URLS_MAX];
	size_t n_urls;
	struct kb_subscription subscriptions[KN_SUBSCRIPTIONS_MAX]; /* one process each */
	const char *subjects[KN_SUBSCRIPTIONS_MAX];       /* what their `routing` points to, and events are named by */
	struct kb_durable durables[KN_SUBSCRIPTIONS_MAX]; /* of those that consume from a stream */
	size_t n_subscriptions;
	int publish_workers, publish_confirm;
	int ping_interval_s, max_pings_out;
	int outbox_bytes;
	int request_timeout_ms;
	int async_requests, async_workers;           /* under way at once from asynchronous functions; who ends them */
	struct kb_kv_bucket buckets[KN_BUCKETS_MAX]; /* to be made at the start */
	size_t n_buckets;
	char *inbox_prefix; /* of the subjects that answers come to */
	char *event_callback, *lua_policy;
	char *token, *creds, *nkey; /* "" or NULL: not set, as with the files below */
	char *tls_ca, *tls_cert, *tls_key, *tls_expected_name;
	int tls, tls_verify_peer, tls_verify_hostname;
};

const struct kn_settings *kn_settings(void);
extern param_export_t kn_parameters[];

/* In mod_init: false and a log line that names the parameter, its value and what would be right. */
bool kn_settings_check(void);

/* Reads a nats_js_consumer, and what its events are named after. False and a log line. (consumer.c) */
bool kn_consumer_read(const char *value, struct kb_durable *durable, const char **event);

/* What broker.h wants to know; `name` must live as long as the broker. */
struct kb_broker_config kn_broker_config(enum kb_broker_role role, const char *name);

/* -- security (security.c) -- */

/* In mod_init: as kn_settings_check(), for credentials and TLS; no line holds a secret. */
bool kn_security_check(void);

/* Fills config->login and config->tls. */
void kn_security_apply(struct kb_broker_config *config);

/* -- publishing (publish.c) -- */

/* A message for one call of kn_send(); headers are `k=v;k2=v2`, and lie in a buffer of the function's own. An empty
 * reply is none. False and a log line that begins with the script's function when a part is not what it must be. */
bool kn_build(const char *function, struct kb_slice subject, struct kb_slice payload, struct kb_slice reply,
	struct kb_slice headers, struct kb_message *m);

/* For a call whose parameters make no message, which is logged already: -1, counted. */
int kn_refuse_message(void);

/* Whether an outbox has room for it, or is NULL, before the start; false and a log line. */
bool kn_fits(const char *function, struct kb_outbox *outbox, const struct kb_message *m);

/* Into an outbox, which may be NULL before the start: 1, or -1 and a log line. */
int kn_send(const char *function, struct kb_outbox *outbox, const struct kb_message *m);

/* In child_init(PROC_INIT), when the number of processes is known. */
bool kn_publish_init(void);
bool kn_publish_fork(void);

int kn_publish2(struct sip_msg *msg, char *subject, char *payload);
int kn_publish3(struct sip_msg *msg, char *subject, char *payload, char *reply);
int kn_publish4(struct sip_msg *msg, char *subject, char *payload, char *reply, char *headers);
int kn_respond1(struct sip_msg *msg, char *payload, char *unused);
int kn_respond2(struct sip_msg *msg, char *payload, char *headers);
int kn_kemi_publish(struct sip_msg *msg, str *subject, str *payload);
int kn_kemi_publish_request(struct sip_msg *msg, str *subject, str *payload, str *reply);
int kn_kemi_publish_headers(struct sip_msg *msg, str *subject, str *payload, str *reply, str *headers);
int kn_kemi_respond(struct sip_msg *msg, str *payload);
int kn_kemi_respond_headers(struct sip_msg *msg, str *payload, str *headers);

/* -- events (event.c) -- */

/* In mod_init: loads the Lua policy once, so that a bad one stops the start, and warns of messages and policies for
 * which nothing can be done. */
bool kn_event_check_policy(void);

/* Whether the policy can be loaded as it is now, and why not. */
bool kn_event_policy_loads(struct kb_buf *why);
bool kn_event_fork(void);

/* The events of a connection, as the loops of src/broker call them; context is not used. */
void kn_event_connection(void *context, bool open, const char *address);
void kn_event_notice(void *context, const char *name);

/* True when no process subscribes to anything and there may be a route for one of these events: then publishers run it,
 * which begin with kn_event_begin() and tick with kn_event_tick(NULL). */
bool kn_event_is_for_publishers(void);
bool kn_event_begin(void); /* false and a log line: the policy does not load */
void kn_event_tick(void *listener);

/* The message whose route runs in this process; NULL outside of one. */
const struct kb_message *kn_current(void);

/* For what its route says about it (bus/listener.h); NULL outside of one. */
struct kb_delivery *kn_current_delivery(void);

/* $natsData, $natsSubject, $natsReply, $natsHdr(name), $natsProp(name): null outside of an event. */
int kn_pv_data(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_pv_subject(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_pv_reply(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_pv_header(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_pv_property(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);

#endif
