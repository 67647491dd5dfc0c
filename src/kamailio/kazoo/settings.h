/* The parameters of the kazoo module. */
#ifndef KB_KAMAILIO_KAZOO_SETTINGS_H
#define KB_KAMAILIO_KAZOO_SETTINGS_H

#include <core/sr_module.h>

#include <stdbool.h>

enum { KZ_URLS_MAX = 16 };

/* A timer that is set by two parameters, name_sec and name_micro; the two add up. */
struct kz_timeout {
	int sec, micro;
};
int kz_settings_milliseconds(struct kz_timeout timeout); /* at least 1 */

/* Set by modparam before mod_init and read-only after it. Strings are never freed. */
struct kz_settings {
	char *node_hostname;
	const char *urls[KZ_URLS_MAX];
	size_t n_urls;
	int workers;                              /* worked out from the two below in mod_init */
	int consumer_processes, consumer_workers; /* as set by modparam, or INT_MIN */
	char *event_key, *event_subkey;
	char *event_callback, *lua_policy;
	char *app_name, *primary_zone;
	char *tls_ca, *tls_cert, *tls_key;
	int tls_verify_peer, tls_verify_hostname;
	int use_federated_exchange;
	char *federated_exchange;
	int publish_wait_ms;      /* 0: kazoo_publish does not wait for confirms */
	int nack_retry_ms;        /* for how long a refused message is sent again */
	char *publish_properties; /* of each published message, `k=v;k2=v2` */
	int consumer_loop_count, internal_loop_count, ack_loop_count;
	int consume_messages_on_reconnect, single_consumer_on_reconnect;
	struct kz_timeout ack_timeout, interprocess_timeout, waitframe_timeout;
	int connect_timeout_sec, connect_timeout_micro;
	int heartbeats;
	int max_requests; /* in flight at once */
	int query_timeout_sec, query_timeout_micro;
	char *query_timeout_avp, *result_avp;
	int outbox_bytes, inbox_bytes;
	char json_escape;
	bool json_missing_is_null; /* what {kz.json} gives for what is missing or null; false: the empty text */
};

const struct kz_settings *kz_settings(void);
extern param_export_t kz_parameters[];

/* In mod_init: false and a log line that names the parameter, its value and a right value. */
bool kz_settings_check(void);

#endif
