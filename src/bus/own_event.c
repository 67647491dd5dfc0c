#include "bus/own_event.h"

#include "bus/host.h"
#include "core/json_rewrite.h"

static void add(struct kb_buf *json, const char *name, struct kb_slice value)
{
	kb_buf_printf(json, ",\"%s\":", name);
	kb_json_quote(value, json);
}

static void begin(struct kb_buf *json, const struct kb_own_events *e, const char *key, const char *subkey)
{
	kb_buf_printf(json, "{\"Event-Category\":\"%s\",\"Event-Name\":\"%s\"", key, subkey);
	add(json, "host", kb_host_of(e->address));
	add(json, "zone", kb_slice_from(e->zone));
}

/* Takes back what the workers are done with. Their outcomes mean nothing. */
static void reclaim(struct kb_inbox *inbox)
{
	struct kb_origin origin;
	enum kb_outcome outcome;
	for (size_t worker = 0; worker < kb_inbox_workers(inbox); worker++)
		while (kb_inbox_harvest(inbox, worker, &origin, &outcome))
			;
}

static bool hand_over(struct kb_own_events *e, const struct kb_message *m)
{
	if (!e->keep_outcomes)
		reclaim(e->to.inbox);
	return kb_turn_put(&e->to, m);
}

/* Closes the object. */
static bool finish(struct kb_own_events *e, struct kb_buf *json, const char *key, const char *subkey)
{
	kb_buf_append_byte(json, '}');
	struct kb_message m = {.exchange = kb_slice_from(key),
		.key = kb_slice_from(subkey),
		.payload = kb_buf_slice(json),
		.origin = {.subscription = KB_ORIGIN_EVENT, .broker = e->broker}};
	return !json->failed && hand_over(e, &m);
}

static void log_lost(struct kb_own_events *e, const char *key, const char *subkey)
{
	kb_log_limited(&e->lost, KB_LOG_WARNING, "%s%sinboxes full, discarding event %s %s of %s", e->bus ? e->bus : "",
		e->bus ? ": " : "", key, subkey, e->address);
}

void kb_own_event_connection(struct kb_own_events *e, const char *state, const char *reason)
{
	struct kb_buf json = {0};
	if (!e->to.inbox)
		return;
	begin(&json, e, "connection", state);
	add(&json, "connection", kb_slice_from(e->connection));
	if (reason)
		add(&json, "reason", kb_slice_from(reason));
	if (!finish(e, &json, "connection", state))
		log_lost(e, "connection", state);
	kb_buf_free(&json);
}

/* Unchanged when it is a JSON object, which it is unless something other than us has changed it. */
static void add_payload(struct kb_buf *json, struct kb_slice payload)
{
	struct kb_json_error error;
	kb_buf_printf(json, ",\"payload\":");
	if (!kb_json_rewrite(payload, NULL, 0, json, &error))
		kb_json_quote(payload, json);
}

static void add_id(struct kb_buf *json, struct kb_slice payload)
{
	struct kb_json_value id = kb_json_member(payload, KB_SLICE_LITERAL("Msg-ID"));
	struct kb_buf text = {0};
	kb_json_text(id, &text);
	if (id.type == KB_JSON_STRING && !text.failed)
		add(json, "Msg-ID", kb_buf_slice(&text));
	kb_buf_free(&text);
}

void kb_own_event_message(struct kb_own_events *e, const char *what, const struct kb_message *m, const char *reason)
{
	struct kb_buf json = {0};
	if (!e->to.inbox)
		return;
	begin(&json, e, "message", what);
	add(&json, "exchange", m->exchange);
	add(&json, "routing_key", m->key);
	add(&json, "reason", kb_slice_from(reason));
	if (m->payload.n)
		add_id(&json, m->payload);
	size_t without_payload = json.n;
	if (m->payload.n)
		add_payload(&json, m->payload);
	if (!finish(e, &json, "message", what)) {
		json.n = without_payload;
		if (!finish(e, &json, "message", what))
			log_lost(e, "message", what);
	}
	kb_buf_free(&json);
}
