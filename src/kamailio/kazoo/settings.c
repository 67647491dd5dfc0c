#include "kamailio/kazoo/settings.h"

#include <core/dprint.h>
#include <core/kemi.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "kamailio/glue/settings.h"

enum { NOT_SET = INT_MIN, WORKERS_DEFAULT = 4, WORKERS_MAX = 512 };

static struct kz_settings settings = {
	.consumer_processes = NOT_SET,
	.consumer_workers = NOT_SET,
	.event_key = "Event-Category",
	.event_subkey = "Event-Name",
	.app_name = NAME,
	.primary_zone = "local",
	.tls_verify_peer = 1,
	.tls_verify_hostname = 1,
	.federated_exchange = "federation",
	.nack_retry_ms = 30000,
	.consumer_loop_count = 10,
	.internal_loop_count = 5,
	.ack_loop_count = 20,
	.consume_messages_on_reconnect = 1,
	.single_consumer_on_reconnect = 1,
	.ack_timeout = {0, 100000},
	.interprocess_timeout = {0, 100000},
	.waitframe_timeout = {0, 100000},
	.connect_timeout_sec = 5,
	.heartbeats = 10,
	.max_requests = 65536,
	.query_timeout_sec = 2,
	.outbox_bytes = 16 * 1024 * 1024,
	.inbox_bytes = 4 * 1024 * 1024,
	.json_escape = '%',
};

const struct kz_settings *kz_settings(void)
{
	return &settings;
}

static int add_url(modparam_t type, void *value)
{
	(void)type;
	if (settings.n_urls == KZ_URLS_MAX) {
		LM_ERR("amqp_connection: more than %d addresses\n", KZ_URLS_MAX);
		return -1;
	}
	settings.urls[settings.n_urls++] = value;
	return 0;
}

static int set_escape(modparam_t type, void *value)
{
	(void)type;
	const char *text = value;
	if (strlen(text) != 1) {
		LM_ERR("json_escape_char: \"%s\" must be one character\n", text);
		return -1;
	}
	settings.json_escape = text[0];
	return 0;
}

static int set_missing(modparam_t type, void *value)
{
	(void)type;
	const char *text = value;
	settings.json_missing_is_null = strcmp(text, "null") == 0;
	if (settings.json_missing_is_null || strcmp(text, "empty") == 0)
		return 0;
	LM_ERR("json_missing: \"%s\" must be \"empty\" or \"null\"\n", text);
	return -1;
}

/* Parameters of the stock module that have no effect here: accepted, with one log line each. The core passes the value
 * of a parameter to its function but not its name, so each has a function of its own. */
#define ACCEPT(name, say)                                                                                              \
	static int accept_##name(modparam_t type, void *value)                                                             \
	{                                                                                                                  \
		static bool said;                                                                                              \
		(void)type, (void)value;                                                                                       \
		if (!said)                                                                                                     \
			say;                                                                                                       \
		said = true;                                                                                                   \
		return 0;                                                                                                      \
	}
#define WITHOUT_EFFECT(name)                                                                                           \
	ACCEPT(name, LM_NOTICE("parameter " #name " has no effect in this version (docs/kazoo/README.md)\n"))
/* A configuration that says where to store presence relies on it, so this is a warning: the core does not show notices
 * by default. */
#define WITHOUT_PRESENCE(name)                                                                                         \
	ACCEPT(name, LM_WARN("presence is not supported in this version, parameter " #name                                 \
						 " has no effect (docs/kazoo/README.md)\n"))
ACCEPT(amqp_max_channels,
	LM_NOTICE(
		"amqp_max_channels: channels are opened as they are needed, and none in advance; amqp_max_requests limits the "
		"requests in flight\n"))
WITHOUT_PRESENCE(db_url)
WITHOUT_PRESENCE(presentity_table)
WITHOUT_EFFECT(amqp_timer_process_interval)
WITHOUT_EFFECT(amqp_command_hashtable_size)
WITHOUT_EFFECT(pua_include_entity)
WITHOUT_EFFECT(presence_use_full_entity)
WITHOUT_EFFECT(pua_mode)
WITHOUT_EFFECT(pua_lock_type)
#undef WITHOUT_PRESENCE
#undef WITHOUT_EFFECT
#undef ACCEPT

#define ACCEPTED_INT(name)                                                                                             \
	{                                                                                                                  \
#name, PARAM_INT | PARAM_USE_FUNC, (void *)accept_##name                                                       \
	}
#define ACCEPTED_TEXT(name)                                                                                            \
	{                                                                                                                  \
#name, PARAM_STRING | PARAM_USE_FUNC, (void *)accept_##name                                                    \
	}

param_export_t kz_parameters[] = {
	{"node_hostname", PARAM_STRING, &settings.node_hostname},
	{"amqp_connection", PARAM_STRING | PARAM_USE_FUNC, (void *)add_url},
	{"amqp_consumer_processes", PARAM_INT, &settings.consumer_processes},
	{"amqp_consumer_workers", PARAM_INT, &settings.consumer_workers},
	{"amqp_consumer_event_key", PARAM_STRING, &settings.event_key},
	{"amqp_consumer_event_subkey", PARAM_STRING, &settings.event_subkey},
	{"event_callback", PARAM_STRING, &settings.event_callback},
	{"lua_policy", PARAM_STRING, &settings.lua_policy},
	{"app_name", PARAM_STRING, &settings.app_name},
	{"amqp_publish_wait", PARAM_INT, &settings.publish_wait_ms},
	{"amqp_nack_retry", PARAM_INT, &settings.nack_retry_ms},
	{"amqp_publish_properties", PARAM_STRING, &settings.publish_properties},
	{"amqp_primary_zone", PARAM_STRING, &settings.primary_zone},
	{"amqps_ca_cert", PARAM_STRING, &settings.tls_ca},
	{"amqps_cert", PARAM_STRING, &settings.tls_cert},
	{"amqps_key", PARAM_STRING, &settings.tls_key},
	{"amqps_verify_peer", PARAM_INT, &settings.tls_verify_peer},
	{"amqps_verify_hostname", PARAM_INT, &settings.tls_verify_hostname},
	{"use_federated_exchange", PARAM_INT, &settings.use_federated_exchange},
	{"federated_exchange", PARAM_STRING, &settings.federated_exchange},
	{"amqp_consumer_loop_count", PARAM_INT, &settings.consumer_loop_count},
	{"amqp_internal_loop_count", PARAM_INT, &settings.internal_loop_count},
	{"amqp_consumer_ack_loop_count", PARAM_INT, &settings.ack_loop_count},
	{"amqp_connect_timeout_sec", PARAM_INT, &settings.connect_timeout_sec},
	{"amqp_connect_timeout_micro", PARAM_INT, &settings.connect_timeout_micro},
	{"amqp_heartbeats", PARAM_INT, &settings.heartbeats},
	ACCEPTED_INT(amqp_max_channels),
	{"amqp_max_requests", PARAM_INT, &settings.max_requests},
	{"amqp_query_timeout_sec", PARAM_INT, &settings.query_timeout_sec},
	{"amqp_query_timeout_micro", PARAM_INT, &settings.query_timeout_micro},
	{"amqp_query_timeout_avp", PARAM_STRING, &settings.query_timeout_avp},
	{"amqp_result_avp", PARAM_STRING, &settings.result_avp},
	{"amqp_outbox_size", PARAM_INT, &settings.outbox_bytes},
	{"amqp_inbox_size", PARAM_INT, &settings.inbox_bytes},
	{"json_escape_char", PARAM_STRING | PARAM_USE_FUNC, (void *)set_escape},
	{"json_missing", PARAM_STRING | PARAM_USE_FUNC, (void *)set_missing},
	{"consume_messages_on_reconnect", PARAM_INT, &settings.consume_messages_on_reconnect},
	{"single_consumer_on_reconnect", PARAM_INT, &settings.single_consumer_on_reconnect},
	{"amqp_consumer_ack_timeout_sec", PARAM_INT, &settings.ack_timeout.sec},
	{"amqp_consumer_ack_timeout_micro", PARAM_INT, &settings.ack_timeout.micro},
	{"amqp_interprocess_timeout_sec", PARAM_INT, &settings.interprocess_timeout.sec},
	{"amqp_interprocess_timeout_micro", PARAM_INT, &settings.interprocess_timeout.micro},
	{"amqp_waitframe_timeout_sec", PARAM_INT, &settings.waitframe_timeout.sec},
	{"amqp_waitframe_timeout_micro", PARAM_INT, &settings.waitframe_timeout.micro},
	ACCEPTED_INT(amqp_timer_process_interval),
	ACCEPTED_INT(amqp_command_hashtable_size),
	ACCEPTED_INT(pua_include_entity),
	ACCEPTED_INT(presence_use_full_entity),
	ACCEPTED_TEXT(presentity_table),
	ACCEPTED_TEXT(db_url),
	ACCEPTED_INT(pua_mode),
	ACCEPTED_INT(pua_lock_type),
	{0, 0, 0},
};

static bool timeout_in_range(const char *name, struct kz_timeout t)
{
	char part[64];
	snprintf(part, sizeof part, "%s_sec", name);
	if (!kb_settings_in_range(part, t.sec, 0, 3600))
		return false;
	snprintf(part, sizeof part, "%s_micro", name);
	return kb_settings_in_range(part, t.micro, 0, 999999999);
}

/* A timeout below a millisecond would be over before it began. */
static bool is_timeout(const char *name, struct kz_timeout t)
{
	if (!timeout_in_range(name, t))
		return false;
	if (t.sec > 0 || t.micro >= 1000)
		return true;
	LM_ERR("%s_sec and %s_micro: %d s and %d us must be at least 1000 us together\n", name, name, t.sec, t.micro);
	return false;
}

static bool flags_in_range(void)
{
	return kb_settings_in_range("amqps_verify_peer", settings.tls_verify_peer, 0, 1) &&
		   kb_settings_in_range("amqps_verify_hostname", settings.tls_verify_hostname, 0, 1) &&
		   kb_settings_in_range("use_federated_exchange", settings.use_federated_exchange, 0, 1) &&
		   kb_settings_in_range("consume_messages_on_reconnect", settings.consume_messages_on_reconnect, 0, 1) &&
		   kb_settings_in_range("single_consumer_on_reconnect", settings.single_consumer_on_reconnect, 0, 1);
}

int kz_settings_milliseconds(struct kz_timeout t)
{
	int ms = t.sec * 1000 + t.micro / 1000;
	return ms > 0 ? ms : 1; /* a loop that never sleeps would use up a CPU core */
}

/* In the manual amqp_consumer_processes is the number of workers. Together with amqp_consumer_workers it is the number
 * of consuming connections, and there is always one. */
static int worker_count(void)
{
	if (settings.consumer_workers == NOT_SET)
		return settings.consumer_processes == NOT_SET ? WORKERS_DEFAULT : settings.consumer_processes;
	if (settings.consumer_processes > 1)
		LM_NOTICE("amqp_consumer_processes: one consuming connection serves all %d workers, more are not needed\n",
			settings.consumer_workers);
	return settings.consumer_workers;
}

static bool is_process_count(const char *name, int value)
{
	return value == NOT_SET || kb_settings_in_range(name, value, 1, WORKERS_MAX);
}

bool kz_settings_check(void)
{
	if (!settings.node_hostname || !settings.node_hostname[0]) {
		LM_ERR("node_hostname is not set: modparam(\"kazoo\", \"node_hostname\", \"the name of this host\") is "
			   "required\n");
		return false;
	}
	if (settings.n_urls == 0)
		settings.urls[settings.n_urls++] = "amqp://guest:guest@localhost:5672";
	settings.workers = worker_count();
	return is_process_count("amqp_consumer_processes", settings.consumer_processes) &&
		   is_process_count("amqp_consumer_workers", settings.consumer_workers) &&
		   kb_settings_in_range("amqp_consumer_loop_count", settings.consumer_loop_count, 1, 1000000) &&
		   kb_settings_in_range("amqp_internal_loop_count", settings.internal_loop_count, 1, 1000000) &&
		   kb_settings_in_range("amqp_consumer_ack_loop_count", settings.ack_loop_count, 1, 1000000) &&
		   timeout_in_range("amqp_consumer_ack_timeout", settings.ack_timeout) &&
		   timeout_in_range("amqp_interprocess_timeout", settings.interprocess_timeout) &&
		   timeout_in_range("amqp_waitframe_timeout", settings.waitframe_timeout) &&
		   is_timeout("amqp_connect_timeout",
			   (struct kz_timeout){settings.connect_timeout_sec, settings.connect_timeout_micro}) &&
		   kb_settings_in_range("amqp_max_requests", settings.max_requests, 1, 1048576) &&
		   is_timeout(
			   "amqp_query_timeout", (struct kz_timeout){settings.query_timeout_sec, settings.query_timeout_micro}) &&
		   flags_in_range() && kb_settings_in_range("amqp_publish_wait", settings.publish_wait_ms, 0, 3600000) &&
		   kb_settings_in_range("amqp_nack_retry", settings.nack_retry_ms, 0, 3600000) &&
		   kb_settings_in_range("amqp_heartbeats", settings.heartbeats, 0, 65535) &&
		   kb_settings_in_range("amqp_outbox_size", settings.outbox_bytes, 65536, 1 << 30) &&
		   kb_settings_in_range("amqp_inbox_size", settings.inbox_bytes, 65536, 1 << 30);
}
