#include "kamailio/nats/settings.h"

#include <core/dprint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kamailio/glue/settings.h"
#include "kamailio/nats/consumer.h"
#include "nats/subject.h"

static struct kn_settings settings = {
	.publish_workers = 2,
	.publish_confirm = 1,
	.ping_interval_s = 10,
	.max_pings_out = 2,
	.outbox_bytes = 16 * 1024 * 1024,
	.request_timeout_ms = 2000,
	.async_requests = 65536,
	.async_workers = 4,
	.inbox_prefix = "_INBOX",
	.tls_verify_peer = 1,
	.tls_verify_hostname = 1,
};

const struct kn_settings *kn_settings(void)
{
	return &settings;
}

static int add_url(modparam_t type, void *value)
{
	(void)type;
	if (settings.n_urls == KN_URLS_MAX) {
		LM_ERR("nats_url: more than %d addresses\n", KN_URLS_MAX);
		return -1;
	}
	settings.urls[settings.n_urls++] = value;
	return 0;
}

static bool subscription_good(const char *value, const char *subject, const char *group)
{
	const char *fault = kb_nats_subject_pattern_fault(kb_slice_from(subject));
	const char *group_fault = *group ? kb_nats_subject_fault(kb_slice_from(group)) : NULL;
	if (fault)
		LM_ERR("subject_queue_group: \"%s\" must be of the form subject:group: invalid subject \"%s\": %s\n", value,
			subject, fault);
	else if (group_fault)
		LM_ERR("subject_queue_group: \"%s\" must be of the form subject:group: invalid group \"%s\": %s\n", value,
			group, group_fault);
	return !fault && !group_fault;
}

/* "subject:group". A subject may contain colons, so the last one separates. Without a group each subscriber receives
 * every message. */
static int add_subscription(modparam_t type, void *value)
{
	(void)type;
	size_t i = settings.n_subscriptions;
	if (i == KN_SUBSCRIPTIONS_MAX) {
		LM_ERR("subject_queue_group: more than %d subscriptions\n", KN_SUBSCRIPTIONS_MAX);
		return -1;
	}
	char *subject = strdup(value);
	char *colon = subject ? strrchr(subject, ':') : NULL;
	if (colon)
		*colon = '\0';
	const char *group = colon ? colon + 1 : "";
	if (!subject || !subscription_good(value, subject, group)) {
		free(subject);
		return -1;
	}
	settings.subjects[i] = subject;
	settings.subscriptions[i] = (struct kb_subscription){.exchange = {.name = "", .type = ""},
		.queue = {.name = group},
		.routing = &settings.subjects[i],
		.n_routing = 1,
		.no_ack = true,
		.event_key = "",
		.event_subkey = ""};
	settings.n_subscriptions++;
	return 0;
}

static int add_bucket(modparam_t type, void *value)
{
	(void)type;
	if (settings.n_buckets == KN_BUCKETS_MAX) {
		LM_ERR("nats_kv_bucket: more than %d buckets\n", KN_BUCKETS_MAX);
		return -1;
	}
	const char *fault = kb_nats_kv_bucket_read(kb_slice_from(value), &settings.buckets[settings.n_buckets]);
	if (fault) {
		LM_ERR("nats_kv_bucket: \"%s\" must be of the form name[;history=N][;ttl=SECONDS][;replicas=N]"
			   "[;storage=file|memory]: %s\n",
			(char *)value, fault);
		return -1;
	}
	settings.n_buckets++;
	return 0;
}

static int add_consumer(modparam_t type, void *value)
{
	size_t i = settings.n_subscriptions;
	(void)type;
	if (i == KN_SUBSCRIPTIONS_MAX) {
		LM_ERR("nats_js_consumer: more than %d subscriptions\n", KN_SUBSCRIPTIONS_MAX);
		return -1;
	}
	struct kb_durable *d = &settings.durables[i];
	if (!kn_consumer_read(value, d, &settings.subjects[i]))
		return -1;
	settings.subscriptions[i] = (struct kb_subscription){.exchange = {.name = d->stream, .type = ""},
		.queue = {.name = d->name},
		.routing = &settings.subjects[i],
		.n_routing = 1,
		.event_key = "",
		.event_subkey = "",
		.durable = d};
	settings.n_subscriptions++;
	return 0;
}

param_export_t kn_parameters[] = {
	{"nats_url", PARAM_STRING | PARAM_USE_FUNC, (void *)add_url},
	{"num_publish_workers", PARAM_INT, &settings.publish_workers},
	{"subject_queue_group", PARAM_STRING | PARAM_USE_FUNC, (void *)add_subscription},
	{"nats_js_consumer", PARAM_STRING | PARAM_USE_FUNC, (void *)add_consumer},
	{"event_callback", PARAM_STRING, &settings.event_callback},
	{"lua_policy", PARAM_STRING, &settings.lua_policy},
	{"nats_publish_confirm", PARAM_INT, &settings.publish_confirm},
	{"nats_ping_interval", PARAM_INT, &settings.ping_interval_s},
	{"nats_max_pings_out", PARAM_INT, &settings.max_pings_out},
	{"nats_outbox_size", PARAM_INT, &settings.outbox_bytes},
	{"nats_request_timeout", PARAM_INT, &settings.request_timeout_ms},
	{"nats_async_requests", PARAM_INT, &settings.async_requests},
	{"nats_async_workers", PARAM_INT, &settings.async_workers},
	{"nats_kv_bucket", PARAM_STRING | PARAM_USE_FUNC, (void *)add_bucket},
	{"nats_inbox_prefix", PARAM_STRING, &settings.inbox_prefix},
	{"nats_token", PARAM_STRING, &settings.token},
	{"nats_creds", PARAM_STRING, &settings.creds},
	{"nats_nkey", PARAM_STRING, &settings.nkey},
	{"tls", PARAM_INT, &settings.tls},
	{"tls_ca_file", PARAM_STRING, &settings.tls_ca},
	{"tls_cert_file", PARAM_STRING, &settings.tls_cert},
	{"tls_key_file", PARAM_STRING, &settings.tls_key},
	{"tls_expected_hostname", PARAM_STRING, &settings.tls_expected_name},
	{"tls_verify_peer", PARAM_INT, &settings.tls_verify_peer},
	{"tls_verify_hostname", PARAM_INT, &settings.tls_verify_hostname},
	{0, 0, 0},
};

static bool check_inbox(void)
{
	const char *fault = kb_nats_subject_fault(kb_slice_from(settings.inbox_prefix));
	if (!fault && strlen(settings.inbox_prefix) > KN_INBOX_PREFIX_MAX)
		fault = "too long";
	if (fault)
		LM_ERR("nats_inbox_prefix: \"%s\" must be a subject of at most %d bytes: %s\n", settings.inbox_prefix,
			KN_INBOX_PREFIX_MAX, fault);
	return !fault;
}

bool kn_settings_check(void)
{
	if (settings.n_urls == 0)
		settings.urls[settings.n_urls++] = "nats://127.0.0.1:4222";
	return kb_settings_in_range("num_publish_workers", settings.publish_workers, 1, 64) &&
		   kb_settings_in_range("nats_publish_confirm", settings.publish_confirm, 0, 1) &&
		   kb_settings_in_range("nats_ping_interval", settings.ping_interval_s, 1, 3600) &&
		   kb_settings_in_range("nats_max_pings_out", settings.max_pings_out, 1, 100) &&
		   kb_settings_in_range("nats_outbox_size", settings.outbox_bytes, 65536, 1 << 30) &&
		   kb_settings_in_range("nats_request_timeout", settings.request_timeout_ms, 1, KN_TIMEOUT_MAX_MS) &&
		   kb_settings_in_range("nats_async_requests", settings.async_requests, 1, 1048576) &&
		   kb_settings_in_range("nats_async_workers", settings.async_workers, 1, 64) && check_inbox();
}
