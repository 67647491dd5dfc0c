/* The parts of the kazoo module, and the settings that they share. module.c is the table of their names. */
#ifndef KB_KAMAILIO_KAZOO_KAZOO_H
#define KB_KAMAILIO_KAZOO_KAZOO_H

#include <core/parser/msg_parser.h>
#include <core/pvar.h>
#include <core/sr_module.h>

#include <stdbool.h>

#include "bus/broker.h"
#include "core/json.h"
#include "core/inbox.h"
#include "core/outbox.h"

enum {
	KZ_URLS_MAX = 16,
	KZ_ZONES_MAX = KZ_URLS_MAX + 1, /* the primary one may be empty until that is found out */
	KZ_ZONE_NAME_BYTES = 64,
	KZ_PRIMARY = 0 /* index of the primary zone */
};

/* One of the timers that come as name_sec and name_micro; both count. */
struct kz_timeout {
	int sec, micro;
};
int kz_milliseconds(struct kz_timeout timeout); /* at least 1 */

/* Set by modparam before mod_init and read-only after it. Strings are never freed. */
struct kz_settings {
	char *node_hostname;
	const char *urls[KZ_URLS_MAX];
	size_t n_urls;
	int workers;                              /* resolved from the two below by mod_init */
	int consumer_processes, consumer_workers; /* as they are set, or INT_MIN */
	char *event_key, *event_subkey;
	char *event_callback, *lua_policy;
	char *app_name, *primary_zone;
	char *tls_ca, *tls_cert, *tls_key;
	int tls_verify_peer, tls_verify_hostname;
	int use_federated_exchange;
	char *federated_exchange;
	int publish_wait_ms;      /* 0: kazoo_publish does not wait for confirms */
	int nack_retry_ms;        /* how long a refused message is sent again */
	char *publish_properties; /* of every message, `k=v;k2=v2` */
	int consumer_loop_count, internal_loop_count, ack_loop_count;
	int consume_messages_on_reconnect, single_consumer_on_reconnect;
	struct kz_timeout ack_timeout, interprocess_timeout, waitframe_timeout;
	int connect_timeout_sec, connect_timeout_micro;
	int heartbeats;
	int max_channels; /* questions under way at once; 0: not set */
	int query_timeout_sec, query_timeout_micro;
	char *query_timeout_avp, *result_avp;
	int outbox_bytes, inbox_bytes;
	char json_escape;
};

const struct kz_settings *kz_settings(void);
extern param_export_t kz_parameters[];

/* In mod_init: false and a log line that names the parameter, its value and what would be right. */
bool kz_settings_check(void);

/* -- zones (zones.c): groups of brokers, of which each message goes to one or comes from one -- */

struct kz_zone {
	char name[KZ_ZONE_NAME_BYTES];
	char answer_prefix[KZ_ZONE_NAME_BYTES + 16]; /* consumer://NAME/ */
	const char *urls[KZ_URLS_MAX];               /* failover list */
	size_t n_urls;
	_Atomic uint32_t *address; /* which of them its processes are connected to, in memory that they share */
};

/* In mod_init, after the settings are checked: false and a log line. */
bool kz_zones_check(void);

size_t kz_zones(void);
const struct kz_zone *kz_zone(size_t index); /* the index is kb_origin.broker */
bool kz_zone_find(struct kb_slice name, size_t *index);

/* -- what goes out (message.c) -- */

/* In mod_init: reads amqp_publish_properties. */
bool kz_message_check(void);

/* In child_init(PROC_INIT), when the number of processes is known. */
bool kz_message_init(void);
struct kb_outbox *kz_outbox(void);

/* Of the outbox's readers, those before it are the publishers of the zones. */
size_t kz_question_reader(void);

/* kb_script_get() for what is to go out, so that what cannot be is counted. */
bool kz_message_get(
	struct sip_msg *msg, const char *function, const char *name, char *parameter, struct kb_slice *value);

/* A message with strict JSON and the fields that say who sent it, for one call of kz_message_send(); its parts lie in
 * buffers of the function's own. False and a log line that begins with the script's function when a part is not what it
 * must be. */
bool kz_message_build(const char *function, struct kb_slice exchange, struct kb_slice routing_key,
	struct kb_slice payload, struct kb_slice headers, struct kb_message *m);

/* Adds properties given as `k=v;k2=v2`; false and a log line. */
bool kz_message_add_properties(const char *function, struct kb_slice text, struct kb_message *m);

/* Whether the outbox has room for it; false and a log line. */
bool kz_message_fits(const char *function, const struct kb_message *m);

/* Into the outbox: 1, or -1 and a log line. */
int kz_message_send(const char *function, const struct kb_message *m);

/* What became of the message sent last: 1 confirmed, -1 refused, -2 and a log line when that is not known in time. */
int kz_message_await(const char *function, const struct kb_message *m, unsigned timeout_ms);

/* -- publishing (publish.c) -- */

int kz_publish3(struct sip_msg *msg, char *exchange, char *routing_key, char *payload);
int kz_publish4(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *headers);
int kz_publish5(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *headers, char *properties);
int kz_publish_wait4(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *timeout_ms);
int kz_publish_wait5(
	struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *timeout_ms, char *headers);
int kz_publish_wait6(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *timeout_ms,
	char *headers, char *properties);
int kz_kemi_publish(struct sip_msg *msg, str *exchange, str *routing_key, str *payload);
int kz_kemi_publish_headers(struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *headers);
int kz_kemi_publish_properties(
	struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *headers, str *properties);
int kz_kemi_publish_wait(struct sip_msg *msg, str *exchange, str *routing_key, str *payload, int timeout_ms);
int kz_kemi_publish_wait_properties(
	struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *timeout_ms, str *headers, str *properties);

/* -- subscribing (subscribe.c) -- */

/* Runs event_route[kazoo:mod-init] or its callback, where alone the subscribe functions may be called. */
void kz_subscribe_run_mod_init(void);
bool kz_in_mod_init(void);
const struct kb_subscription *kz_subscriptions(size_t *count);

int kz_subscribe1(struct sip_msg *msg, char *json, char *unused);
int kz_subscribe4(struct sip_msg *msg, char *exchange, char *type, char *queue, char *routing_key);
int kz_kemi_subscribe(struct sip_msg *msg, str *json);
int kz_kemi_subscribe_simple(struct sip_msg *msg, str *exchange, str *type, str *queue, str *routing_key);

/* -- events (event.c) -- */

/* A payload as routes see it, with the fields of the reception. */
bool kz_receive_payload(size_t zone, struct kb_slice payload, struct kb_buf *out, struct kb_json_error *error);

/* In mod_init: what is wrong with the policy stops the start, with a log line. */
bool kz_event_check_policy(void);

/* Whether the policy can be loaded as it is now, and why not. */
bool kz_event_policy_loads(struct kb_buf *why);

/* In mod_init: shared memory for the workers. */
bool kz_event_init(void);

/* What each process with a connection to a zone hands to the workers; questions are for the primary one alone. */
enum kz_source { KZ_FROM_CONSUMER, KZ_FROM_PUBLISHER, KZ_FROM_QUESTIONS };
struct kb_inbox *kz_inbox(enum kz_source source, size_t zone);

/* Forks the workers; in child_init(PROC_MAIN), after mod-init ran. */
bool kz_event_fork(void);

/* -- the processes with connections (brokers.c) -- */

/* In mod_init: what is wrong with an address stops the start, with a log line. */
bool kz_brokers_check(void);
int kz_brokers_processes(void);
bool kz_brokers_fork(void);

/* -- JSON and encoding (json.c) -- */

int kz_json(struct sip_msg *msg, char *json, char *field, char *target);
int kz_encode(struct sip_msg *msg, char *text, char *target);
int kz_json_keys(struct sip_msg *msg, char *json, char *field, char *target);

#endif
