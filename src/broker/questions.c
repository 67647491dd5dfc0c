#include "broker/questions.h"

#include <stdio.h>
#include "core/json.h"
#include "core/log.h"

struct asking {
	struct kb_replies *replies;
	const char *prefix, *key, *name; /* key: of the answers to this connection; name: of the bus, for the log */
	struct kb_subscription answers;
};

/* It goes into every message, and changes with a connection. */
struct kb_slice kb_reply_address(const struct kb_replies *replies, const char *prefix)
{
	static char address[256];
	static size_t n;
	static uint32_t written;
	uint32_t generation = kb_replies_generation(replies);
	if (n == 0 || written != generation)
		n = (size_t)snprintf(address, sizeof address, "%.220s-targeted-%u", prefix, generation);
	written = generation;
	return kb_slice(address, n);
}

/* An answer finds its question by Msg-ID, or by the correlation-id that was sent along. */
static bool on_delivered(void *context, const struct kb_message *m)
{
	struct asking *a = context;
	struct kb_buf id = {0};
	struct kb_json_value member = kb_json_member(m->payload, KB_SLICE_LITERAL("Msg-ID"));
	struct kb_slice correlation = kb_headers_find(m->properties, KB_SLICE_LITERAL("correlation-id"));
	if (member.type == KB_JSON_STRING || member.type == KB_JSON_NUMBER)
		kb_json_text(member, &id);
	if (!(id.n && kb_replies_answer(a->replies, kb_buf_slice(&id), m->payload)) &&
		!(correlation.n && kb_replies_answer(a->replies, correlation, m->payload)))
		kb_log(KB_LOG_DEBUG, "%s: answer \"%.*s\" for nobody", a->name,
			KB_SLICE_FMT(id.n ? kb_buf_slice(&id) : correlation));
	kb_buf_free(&id);
	return true;
}

/* A queue of its own for each connection. */
static const struct kb_subscription *on_connect(void *context)
{
	struct asking *a = context;
	kb_replies_next_generation(a->replies);
	a->key = kb_reply_address(a->replies, a->prefix).p;
	a->answers = (struct kb_subscription){.exchange = {.name = KB_REPLY_EXCHANGE, .type = "direct"},
		.queue = {.name = a->key, .exclusive = true, .auto_delete = true},
		.routing = &a->key,
		.n_routing = 1,
		.no_ack = true,
		.event_key = "",
		.event_subkey = ""};
	return &a->answers;
}

static void on_subscribed(void *context)
{
	struct asking *a = context;
	kb_replies_open(a->replies);
}

static void on_connection(void *context, bool open, const char *address)
{
	struct asking *a = context;
	(void)address;
	if (!open)
		kb_replies_close(a->replies);
}

void kb_questions_run(const struct kb_publisher *p, struct kb_replies *replies, const char *reply_prefix)
{
	struct asking a = {.replies = replies, .prefix = reply_prefix, .name = p->api->name};
	struct kb_publisher asker = *p;
	asker.config.role = KB_ROLE_PUBLISH | KB_ROLE_CONSUME;
	asker.context = &a;
	asker.at_once = true;
	asker.subscription = on_connect;
	asker.subscribed = on_subscribed;
	asker.delivered = on_delivered;
	asker.connection = on_connection;
	kb_publisher_run(&asker);
}
