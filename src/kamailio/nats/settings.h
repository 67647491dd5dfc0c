/* The parameters of the nats module. */
#ifndef KB_KAMAILIO_NATS_SETTINGS_H
#define KB_KAMAILIO_NATS_SETTINGS_H

#include <core/sr_module.h>

#include <stdbool.h>

#include "bus/subscription.h"
#include "nats/kv_bucket.h"

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
	const char *subjects[KN_SUBSCRIPTIONS_MAX];                 /* their `routing`, and the names of their events */
	struct kb_durable durables[KN_SUBSCRIPTIONS_MAX];           /* of the subscriptions that consume from a stream */
	size_t n_subscriptions;
	int publish_workers, publish_confirm;
	int ping_interval_s, max_pings_out;
	int outbox_bytes;
	int request_timeout_ms;
	int async_requests;                               /* asynchronous requests in flight at once */
	int async_workers;                                /* processes that resume transactions */
	struct kb_nats_kv_bucket buckets[KN_BUCKETS_MAX]; /* created at the start */
	size_t n_buckets;
	char *inbox_prefix; /* begins the subjects that replies come to */
	char *event_callback, *lua_policy;
	char *token, *creds, *nkey; /* "" or NULL: not set, also below */
	char *tls_ca, *tls_cert, *tls_key, *tls_expected_name;
	int tls, tls_verify_peer, tls_verify_hostname;
};

const struct kn_settings *kn_settings(void);
extern param_export_t kn_parameters[];

/* In mod_init, before kn_broker_check() and kn_security_check(): false and a log line that names the parameter, its
 * value and a right value. */
bool kn_settings_check(void);

#endif
