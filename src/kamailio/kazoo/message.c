/* What goes out: a script's words made into a message, and that into the outbox. */
#include "kamailio/kazoo/message.h"

#include <core/dprint.h>
#include <core/pt.h>

#include <errno.h>

#include "amqp/headers.h"
#include "amqp/properties.h"
#include "core/json_rewrite.h"
#include "core/log.h"
#include "core/routing_key.h"
#include "core/uuid.h"
#include "kamailio/glue/script.h"
#include "kamailio/kazoo/settings.h"
#include "kamailio/kazoo/stats.h"
#include "kamailio/kazoo/zones.h"

enum { SERVER_ID_MAX = 300 };

static struct kb_outbox *outbox;
static struct kb_buf default_properties; /* amqp_publish_properties, as a list */

struct kb_outbox *kz_message_outbox(void)
{
	return outbox;
}

bool kz_message_init(void)
{
	size_t readers = kz_zones() + 1, writers = (size_t)get_max_procs() * readers;
	outbox = kb_outbox_create(writers, (size_t)kz_settings()->outbox_bytes, readers);
	if (!outbox)
		LM_ERR("amqp_outbox_size: cannot allocate shared memory for %zu rings of %d bytes: %s\n", writers,
			kz_settings()->outbox_bytes, strerror(errno));
	kb_counts_add_outbox(outbox);
	return outbox != NULL;
}

static struct kb_slice node(void)
{
	static char name[SERVER_ID_MAX];
	static size_t n;
	if (n == 0)
		n = (size_t)snprintf(name, sizeof name, "kamailio@%.200s", kz_settings()->node_hostname);
	return kb_slice(name, n);
}

/* The payload as it goes out: strict JSON, with the fields that say who sent it. */
static bool complete(
	struct kb_slice payload, struct kz_message_sender sender, struct kb_buf *out, struct kb_json_error *error)
{
	char id[KB_UUID_CHARS];
	if (!sender.id.n) {
		kb_uuid_make(id);
		sender.id = kb_slice(id, sizeof id);
	}
	const struct kb_json_edit fields[] = {
		{KB_SLICE_LITERAL("App-Name"), kb_slice_from(kz_settings()->app_name), false, KB_JSON_ADD_IF_ABSENT},
		{KB_SLICE_LITERAL("App-Version"), KB_SLICE_LITERAL(VERSION), false, KB_JSON_ADD_IF_ABSENT},
		{KB_SLICE_LITERAL("Node"), node(), false, KB_JSON_ADD_IF_ABSENT},
		{KB_SLICE_LITERAL("Msg-ID"), sender.id, false, KB_JSON_ADD_IF_ABSENT},
		{KB_SLICE_LITERAL("Server-ID"), sender.reply_address, false, KB_JSON_ADD_IF_ABSENT},
	};
	return kb_json_rewrite(payload, fields, sizeof fields / sizeof *fields, out, error);
}

/* `consumer://ZONE/KEY` names the zone that a request came from; its brokers know only KEY. */
static bool take_zone(const char *function, struct kb_slice *key, size_t *zone)
{
	static struct kb_log_limit no_zone;
	static const char scheme[] = "consumer://";
	size_t n = sizeof scheme - 1;
	const char *slash = key->n > n && memcmp(key->p, scheme, n) == 0 ? memchr(key->p + n, '/', key->n - n) : NULL;
	*zone = KZ_PRIMARY;
	if (!slash)
		return true;
	struct kb_slice name = kb_slice(key->p + n, (size_t)(slash - key->p) - n);
	if (!kz_zone_find(name, zone)) {
		kb_log_limited(&no_zone, KB_LOG_ERROR, "%s: routing key \"%.*s\": no amqp_connection in zone \"%.*s\"",
			function, KB_SLICE_FMT(*key), KB_SLICE_FMT(name));
		return false;
	}
	*key = kb_slice(slash + 1, key->n - (size_t)(slash + 1 - key->p));
	return true;
}

static bool fits(const char *function, const char *what, struct kb_slice name)
{
	static struct kb_log_limit too_long;
	if (name.n <= KB_ROUTING_KEY_MAX)
		return true;
	kb_log_limited(&too_long, KB_LOG_ERROR, "%s: %s of %zu bytes is longer than AMQP allows (%d): \"%.*s...\"",
		function, what, name.n, KB_ROUTING_KEY_MAX, KB_SLICE_FMT(name));
	return false;
}

static bool is_number(struct kb_slice text)
{
	size_t i = 0;
	while (i < text.n && text.p[i] >= '0' && text.p[i] <= '9')
		i++;
	return text.n > 0 && i == text.n;
}

static bool headers_fit(const char *function, struct kb_slice headers)
{
	struct kb_slice name;
	const char *wrong = kb_amqp_headers_check(headers, &name);
	if (wrong && name.n)
		kb_log(KB_LOG_ERROR, "%s: header \"%.20s...\": %s", function, name.p, wrong); /* only a long name is at fault */
	else if (wrong)
		LM_ERR("%s: headers of %zu bytes: %s\n", function, headers.n, wrong);
	return !wrong;
}

static bool read_headers(const char *function, struct kb_slice text, struct kb_buf *headers)
{
	static bool warned;
	struct kb_slice bad;
	if (is_number(text)) {
		if (!warned)
			kb_log(KB_LOG_WARNING, "%s: ignoring headers parameter %.*s: expected k=v;k2=v2, not a number", function,
				KB_SLICE_FMT(text));
		warned = true;
		return true;
	}
	if (!kb_headers_parse(text, headers, &bad)) {
		kb_log(KB_LOG_ERROR, "%s: header \"%.*s\" is not of the form name=value", function, KB_SLICE_FMT(bad));
		return false;
	}
	return headers_fit(function, kb_buf_slice(headers));
}

/* Appends `k=v;k2=v2`; what is given last counts. */
static bool read_properties(const char *function, struct kb_slice text, struct kb_buf *list)
{
	struct kb_slice name, value;
	size_t before = list->n;
	if (!kb_headers_parse(text, list, &name)) {
		kb_log(KB_LOG_ERROR, "%s: property \"%.*s\" is not of the form name=value", function, KB_SLICE_FMT(name));
		return false;
	}
	struct kb_slice added = kb_slice(list->p + before, list->n - before);
	const char *wrong = kb_amqp_properties_check(added, &name, &value);
	if (wrong)
		kb_log(KB_LOG_ERROR, "%s: property %.*s=%.*s: %s", function, KB_SLICE_FMT(name), KB_SLICE_FMT(value), wrong);
	return !wrong && !list->failed;
}

bool kz_message_check(void)
{
	const char *text = kz_settings()->publish_properties;
	return !text || read_properties("amqp_publish_properties", kb_slice_from(text), &default_properties);
}

bool kz_message_add_properties(const char *function, struct kb_slice text, struct kb_message *m)
{
	static struct kb_buf list;
	kb_buf_clear(&list);
	kb_buf_append_slice(&list, m->properties);
	if (!read_properties(function, text, &list)) {
		kb_counts_add(KZ_REFUSED_INVALID);
		return false;
	}
	m->properties = kb_buf_slice(&list);
	return true;
}

size_t kz_message_request_reader(void)
{
	return kz_zones();
}

/* Of the rings of this process, the one whose reader the message is for: ring i belongs to reader i % readers. */
static size_t ring_for(const struct kb_message *m)
{
	size_t reader = m->origin.flags & KB_EXPIRES ? kz_message_request_reader() : m->origin.broker;
	return (size_t)process_no * kb_outbox_readers(outbox) + reader;
}

int kz_message_await(const char *function, const struct kb_message *m, unsigned timeout_ms)
{
	static struct kb_log_limit late;
	switch (kb_outbox_await(outbox, ring_for(m), timeout_ms)) {
	case KB_DONE: return 1;
	case KB_PENDING:
		kb_log_limited(&late, KB_LOG_WARNING,
			"%s: no confirm within %u ms for routing key \"%.*s\"; the message is still being sent", function,
			timeout_ms, KB_SLICE_FMT(m->key));
		return -2;
	default: return -1; /* the publisher has logged why */
	}
}

static bool accepted(const char *function, const struct kb_message *m, enum kb_outbox_result result)
{
	static struct kb_log_limit full;
	if (result == KB_OUTBOX_TOO_LARGE)
		LM_ERR("%s: message of %zu bytes refused: amqp_outbox_size allows messages of up to %zu bytes\n", function,
			m->payload.n, kb_outbox_message_max(outbox));
	else if (result != KB_OUTBOX_ACCEPTED)
		kb_log_limited(&full, KB_LOG_ERROR,
			"%s: message refused, the outbox of this process is full (amqp_outbox_size=%d)", function,
			kz_settings()->outbox_bytes);
	return result == KB_OUTBOX_ACCEPTED;
}

bool kz_message_fits(const char *function, const struct kb_message *m)
{
	return accepted(function, m, kb_outbox_room(outbox, ring_for(m), m));
}

int kz_message_send(const char *function, const struct kb_message *m)
{
	return accepted(function, m, kb_outbox_put(outbox, ring_for(m), m)) ? 1 : -1;
}

/* Once a second for what goes out otherwise than it was written. */
static void warn_of_mended(const char *function, struct kb_slice payload, const struct kb_json_error *mended)
{
	static struct kb_log_limit limit;
	if (mended->what)
		kb_log_limited(&limit, KB_LOG_WARNING, "%s: payload mended, %s at byte %zu: %.*s", function, mended->what,
			mended->at, KB_SLICE_FMT(payload));
}

static bool build(const char *function, struct kb_slice exchange, struct kb_slice routing_key, struct kb_slice payload,
	struct kb_slice headers, struct kz_message_sender sender, struct kb_message *m)
{
	static struct kb_buf body, header_list;
	struct kb_json_error error;
	size_t zone;
	kb_buf_clear(&body);
	kb_buf_clear(&header_list);
	if (!outbox) {
		LM_ERR("%s: called before the server has started\n", function);
		return false;
	}
	if (!take_zone(function, &routing_key, &zone) || !fits(function, "exchange", exchange) ||
		!fits(function, "routing key", routing_key))
		return false;
	if (headers.n && !read_headers(function, headers, &header_list))
		return false;
	if (!complete(payload, sender, &body, &error)) {
		kb_log(KB_LOG_ERROR, "%s: payload refused, %s at byte %zu: %.*s", function, error.what, error.at,
			KB_SLICE_FMT(payload));
		return false;
	}
	warn_of_mended(function, payload, &error);
	*m = (struct kb_message){.exchange = exchange,
		.key = routing_key,
		.headers = kb_buf_slice(&header_list),
		.properties = kb_buf_slice(&default_properties),
		.payload = kb_buf_slice(&body),
		.origin = {.broker = (uint32_t)zone}};
	return true;
}

bool kz_message_get(
	struct sip_msg *msg, const char *function, const char *name, char *parameter, struct kb_slice *value)
{
	bool good = kb_script_get(msg, function, name, parameter, value);
	if (!good)
		kb_counts_add(KZ_REFUSED_INVALID);
	return good;
}

bool kz_message_build(const char *function, struct kb_slice exchange, struct kb_slice routing_key,
	struct kb_slice payload, struct kb_slice headers, struct kz_message_sender sender, struct kb_message *m)
{
	bool good = build(function, exchange, routing_key, payload, headers, sender, m);
	if (!good)
		kb_counts_add(KZ_REFUSED_INVALID);
	return good;
}
