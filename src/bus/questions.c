#include "bus/questions.h"

#include <stdio.h>
#include "bus/traffic.h"
#include "core/json.h"
#include "core/log.h"

struct asking {
	struct kb_replies *replies;
	const char *prefix, *key, *name; /* key: of the answers to this connection; name: of the bus, for the log */
	struct kb_subscription answers;
	struct kb_connection *traffic;
	struct kb_log_limit unmatched, too_large;
};

/* What is longer than a slot takes is read up to so many times its size, to find out whose answer it is. */
enum { READ_FACTOR = 4 };

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

static struct kb_slice correlation_of(const struct kb_message *m)
{
	return kb_headers_find(m->properties, KB_SLICE_LITERAL("correlation-id"));
}

/* It came too late, a second time, or never was ours. */
static void tell_unmatched(struct asking *a, struct kb_slice id)
{
	kb_traffic_note(a->traffic, unmatched);
	kb_log_limited(&a->unmatched, KB_LOG_INFO, "%s: answer \"%.*s\" for nobody: late, repeated or unknown", a->name,
		KB_SLICE_FMT(id));
}

/* An answer finds its question by Msg-ID, or by the correlation-id that was sent along. */
static bool on_delivered(void *context, const struct kb_message *m)
{
	struct asking *a = context;
	struct kb_buf id = {0};
	struct kb_json_value member = kb_json_member(m->payload, KB_SLICE_LITERAL("Msg-ID"));
	struct kb_slice correlation = correlation_of(m);
	if (member.type == KB_JSON_STRING || member.type == KB_JSON_NUMBER)
		kb_json_text(member, &id);
	if (!(id.n && kb_replies_answer(a->replies, kb_buf_slice(&id), m->payload)) &&
		!(correlation.n && kb_replies_answer(a->replies, correlation, m->payload)))
		tell_unmatched(a, id.n ? kb_buf_slice(&id) : correlation);
	kb_buf_free(&id);
	return true;
}

/* Its payload was not read: only the properties say whose it is. */
static void on_too_large(void *context, const struct kb_message *m, size_t bytes)
{
	struct asking *a = context;
	struct kb_slice correlation = correlation_of(m);
	kb_log_limited(&a->too_large, KB_LOG_ERROR, "%s: answer of %zu bytes dropped: there is room for %zu", a->name,
		bytes, kb_replies_answer_max(a->replies));
	if (!correlation.n || !kb_replies_answer_too_large(a->replies, correlation, bytes))
		tell_unmatched(a, correlation);
}

static void on_unroutable(void *context, struct kb_slice exchange, struct kb_slice correlation_id)
{
	struct asking *a = context;
	if (correlation_id.n)
		kb_replies_refuse(a->replies, correlation_id);
	else
		kb_replies_refuse_all(a->replies, exchange);
}

/* Of several properties of a name the last one counts. */
static void on_unsendable(void *context, const struct kb_message *question)
{
	struct asking *a = context;
	struct kb_slice rest = question->properties, name, value, id = {NULL, 0};
	while (kb_headers_next(&rest, &name, &value))
		if (kb_slice_equal(name, KB_SLICE_LITERAL("correlation-id")))
			id = value;
	kb_replies_refuse(a->replies, id);
}

/* A queue of its own for each connection. */
static const struct kb_subscription *on_connect(void *context)
{
	struct asking *a = context;
	kb_replies_next_generation(a->replies);
	a->key = kb_reply_address(a->replies, a->prefix).p;
	a->answers = (struct kb_subscription){.exchange = {.name = KB_REPLY_EXCHANGE, .type = "direct", .as_it_is = true},
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

/* There is a connection, and no answer would come over it. */
static void on_fell(void *context, const char *reason)
{
	struct asking *a = context;
	char why[KB_LINE_BYTES];
	snprintf(why, sizeof why, "no answers can come: %s", reason);
	kb_replies_close(a->replies, why);
}

static void on_connection(void *context, bool open, const char *address)
{
	struct asking *a = context;
	(void)address;
	if (!open)
		kb_replies_close(a->replies, NULL);
}

void kb_questions_run(const struct kb_publisher *p, struct kb_replies *replies, const char *reply_prefix)
{
	struct asking a = {.replies = replies, .prefix = reply_prefix, .name = p->api->name, .traffic = p->config.traffic};
	struct kb_publisher asker = *p;
	asker.config.role = KB_ROLE_PUBLISH | KB_ROLE_CONSUME;
	asker.context = &a;
	asker.at_once = true;
	asker.subscription = on_connect;
	asker.subscribed = on_subscribed;
	asker.fell = on_fell;
	asker.config.message_max = READ_FACTOR * kb_replies_answer_max(replies);
	asker.delivered = on_delivered;
	asker.too_large = on_too_large;
	asker.unroutable = on_unroutable;
	asker.unsendable = on_unsendable;
	asker.connection = on_connection;
	kb_publisher_run(&asker);
}
