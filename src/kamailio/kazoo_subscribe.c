#include "kamailio/kazoo.h"

#include <core/dprint.h>

#include <stdlib.h>

#include "core/json.h"
#include "core/routing_key.h"
#include "kamailio/event_route.h"
#include "kamailio/script.h"

/* Filled while mod-init runs in the main process; the processes forked after it inherit it and never change it. */
static struct kb_subscription *subscriptions;
static size_t n_subscriptions;
static bool in_mod_init;

const struct kb_subscription *kz_subscriptions(size_t *count)
{
	*count = n_subscriptions;
	return subscriptions;
}

void kz_subscribe_run_mod_init(void)
{
	in_mod_init = true;
	kb_event_run_by_name(kz_settings()->event_callback, "kazoo:mod-init");
	in_mod_init = false;
}

/* -- values of the description -- */

/* The description being read, and the subscription being made of it. */
struct reading {
	struct kb_slice json;
	struct kb_subscription *s;
	bool failed;
};

static bool complain(struct reading *r, struct kb_slice field, struct kb_json_value value, const char *right)
{
	LM_ERR("kazoo_subscribe: %.*s: %.*s must be %s, in %.*s\n", KB_SLICE_FMT(field), KB_SLICE_FMT(value.raw), right,
		KB_SLICE_FMT(r->json));
	r->failed = true;
	return false;
}

/* A name for the broker: at most 255 bytes (short string of AMQP), none of them NUL. */
static const char *read_name(struct reading *r, struct kb_slice field, struct kb_json_value value)
{
	struct kb_buf text = {0};
	kb_json_text(value, &text);
	bool good = !text.failed && value.type == KB_JSON_STRING && text.n <= KB_ROUTING_KEY_MAX &&
				(text.n == 0 || !memchr(text.p, '\0', text.n));
	char *name = good ? strndup(text.p ? text.p : "", text.n) : NULL;
	kb_buf_free(&text);
	if (!name)
		complain(r, field, value, "a string of at most 255 bytes");
	return name ? name : "";
}

static bool read_flag(struct reading *r, struct kb_slice field, struct kb_json_value value)
{
	switch (value.type) {
	case KB_JSON_TRUE: return true;
	case KB_JSON_FALSE:
	case KB_JSON_NULL: return false;
	case KB_JSON_NUMBER: return !kb_slice_equal(value.raw, KB_SLICE_LITERAL("0"));
	default: return complain(r, field, value, "an integer or a boolean");
	}
}

static bool add_routing(void *context, struct kb_slice key, struct kb_json_value value)
{
	struct reading *r = context;
	const char **more = realloc((void *)r->s->routing, (r->s->n_routing + 1) * sizeof *more);
	(void)key;
	if (!more)
		return complain(r, KB_SLICE_LITERAL("routing"), value, "shorter: out of memory");
	r->s->routing = more;
	more[r->s->n_routing++] = read_name(r, KB_SLICE_LITERAL("routing"), value);
	return !r->failed;
}

static void read_routing(struct reading *r, struct kb_slice field, struct kb_json_value value)
{
	if (value.type == KB_JSON_ARRAY)
		kb_json_each(value.raw, add_routing, r);
	else
		add_routing(r, field, value);
}

/* -- fields -- */

#define IS(name) kb_slice_equal(field, KB_SLICE_LITERAL(name))

static bool read_exchange_definition(void *context, struct kb_slice field, struct kb_json_value value)
{
	struct reading *r = context;
	struct kb_exchange *e = &r->s->exchange;
	if (IS("name") || IS("exchange"))
		e->name = read_name(r, field, value);
	else if (IS("type"))
		e->type = read_name(r, field, value);
	else if (IS("durable"))
		e->durable = read_flag(r, field, value);
	else if (IS("passive"))
		e->passive = read_flag(r, field, value);
	else if (IS("auto_delete"))
		e->auto_delete = read_flag(r, field, value);
	else if (IS("internal"))
		e->internal = read_flag(r, field, value);
	else
		LM_DBG("kazoo_subscribe: exchange-def: unknown field %.*s ignored\n", KB_SLICE_FMT(field));
	return !r->failed;
}

static bool read_queue_definition(void *context, struct kb_slice field, struct kb_json_value value)
{
	struct reading *r = context;
	struct kb_queue *q = &r->s->queue;
	if (IS("name") || IS("queue"))
		q->name = read_name(r, field, value);
	else if (IS("durable"))
		q->durable = read_flag(r, field, value);
	else if (IS("passive"))
		q->passive = read_flag(r, field, value);
	else if (IS("exclusive"))
		q->exclusive = read_flag(r, field, value);
	else if (IS("auto_delete"))
		q->auto_delete = read_flag(r, field, value);
	else
		LM_DBG("kazoo_subscribe: queue-def: unknown field %.*s ignored\n", KB_SLICE_FMT(field));
	return !r->failed;
}

static bool read_field(void *context, struct kb_slice field, struct kb_json_value value)
{
	struct reading *r = context;
	struct kb_subscription *s = r->s;
	if (IS("exchange"))
		s->exchange.name = read_name(r, field, value);
	else if (IS("type"))
		s->exchange.type = read_name(r, field, value);
	else if (IS("queue"))
		s->queue.name = read_name(r, field, value);
	else if (IS("routing"))
		read_routing(r, field, value);
	else if (IS("durable"))
		s->queue.durable = s->exchange.durable = read_flag(r, field, value);
	else if (IS("passive"))
		s->queue.passive = s->exchange.passive = read_flag(r, field, value);
	else if (IS("auto_delete"))
		s->queue.auto_delete = s->exchange.auto_delete = read_flag(r, field, value);
	else if (IS("exclusive"))
		s->queue.exclusive = read_flag(r, field, value);
	else if (IS("no_ack"))
		s->no_ack = read_flag(r, field, value);
	else if (IS("wait_for_consumer_ack"))
		s->wait_for_consumer_ack = read_flag(r, field, value);
	else if (IS("federate"))
		s->federate = read_flag(r, field, value);
	else if (IS("event_key"))
		s->event_key = read_name(r, field, value);
	else if (IS("event_subkey"))
		s->event_subkey = read_name(r, field, value);
	else if (!IS("exchange-def") && !IS("queue-def"))
		LM_DBG("kazoo_subscribe: unknown field %.*s ignored\n", KB_SLICE_FMT(field));
	return !r->failed;
}

/* The definitions count before the flags at the top, wherever they stand. */
static void read_definitions(struct reading *r)
{
	struct kb_json_value exchange = kb_json_member(r->json, KB_SLICE_LITERAL("exchange-def"));
	struct kb_json_value queue = kb_json_member(r->json, KB_SLICE_LITERAL("queue-def"));
	if (exchange.type != KB_JSON_NONE && !kb_json_each(exchange.raw, read_exchange_definition, r) && !r->failed)
		complain(r, KB_SLICE_LITERAL("exchange-def"), exchange, "an object");
	if (queue.type != KB_JSON_NONE && !kb_json_each(queue.raw, read_queue_definition, r) && !r->failed)
		complain(r, KB_SLICE_LITERAL("queue-def"), queue, "an object");
}

#undef IS

/* -- subscribing -- */

static bool missing(struct reading *r, const char *field, const char *value)
{
	if (value[0])
		return false;
	LM_ERR("kazoo_subscribe: the field %s is required, in %.*s\n", field, KB_SLICE_FMT(r->json));
	return true;
}

static bool allowed_now(void)
{
	if (in_mod_init)
		return true;
	LM_ERR("kazoo_subscribe: may be called only while event_route[kazoo:mod-init] runs\n");
	return false;
}

/* A free place at the end of the list, with the defaults of the manual (5.1.4); counted only when it is complete. */
static struct kb_subscription *new_subscription(void)
{
	struct kb_subscription *more = realloc(subscriptions, (n_subscriptions + 1) * sizeof *more);
	if (!more) {
		LM_ERR("kazoo_subscribe: out of memory\n");
		return NULL;
	}
	subscriptions = more;
	more[n_subscriptions] = (struct kb_subscription){
		.exchange = {.name = "", .type = ""},
		.queue = {.name = "", .auto_delete = true},
		.no_ack = true,
		.event_key = "",
		.event_subkey = "",
	};
	return &more[n_subscriptions];
}

static int add(struct reading *r)
{
	if (r->failed || missing(r, "exchange", r->s->exchange.name) || missing(r, "type", r->s->exchange.type))
		return -1;
	if (r->s->n_routing == 0)
		return missing(r, "routing", "") ? -1 : 1;
	n_subscriptions++;
	return 1;
}

static int subscribe_json(struct kb_slice json)
{
	if (!allowed_now())
		return -1;
	struct reading r = {.json = json, .s = new_subscription()};
	if (!r.s)
		return -1;
	if (kb_json_get(json, kb_slice(NULL, 0), 0).type != KB_JSON_OBJECT) {
		LM_ERR("kazoo_subscribe: the description is no JSON object: %.*s\n", KB_SLICE_FMT(json));
		return -1;
	}
	kb_json_each(json, read_field, &r);
	read_definitions(&r);
	return add(&r);
}

static int subscribe_simple(
	struct kb_slice exchange, struct kb_slice type, struct kb_slice queue, struct kb_slice routing_key)
{
	struct kb_buf json = {0};
	const struct kb_slice fields[][2] = {{KB_SLICE_LITERAL("exchange"), exchange}, {KB_SLICE_LITERAL("type"), type},
		{KB_SLICE_LITERAL("queue"), queue}, {KB_SLICE_LITERAL("routing"), routing_key}};
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		kb_buf_append_byte(&json, i ? ',' : '{');
		kb_json_quote(fields[i][0], &json);
		kb_buf_append_byte(&json, ':');
		kb_json_quote(fields[i][1], &json);
	}
	kb_buf_append_byte(&json, '}');
	int result = json.failed ? -1 : subscribe_json(kb_buf_slice(&json));
	kb_buf_free(&json);
	return result;
}

int kz_subscribe1(struct sip_msg *msg, char *json, char *unused)
{
	struct kb_slice text;
	(void)unused;
	return kb_script_get(msg, "kazoo_subscribe", "json_description", json, &text) ? subscribe_json(text) : -1;
}

int kz_subscribe4(struct sip_msg *msg, char *exchange, char *type, char *queue, char *routing_key)
{
	struct kb_slice e, t, q, k;
	if (!kb_script_get(msg, "kazoo_subscribe", "exchange", exchange, &e) ||
		!kb_script_get(msg, "kazoo_subscribe", "exchange_type", type, &t) ||
		!kb_script_get(msg, "kazoo_subscribe", "queue", queue, &q) ||
		!kb_script_get(msg, "kazoo_subscribe", "routing_key", routing_key, &k))
		return -1;
	return subscribe_simple(e, t, q, k);
}

int kz_kemi_subscribe(struct sip_msg *msg, str *json)
{
	(void)msg;
	return subscribe_json(kb_slice_of_str(json));
}

int kz_kemi_subscribe_simple(struct sip_msg *msg, str *exchange, str *type, str *queue, str *routing_key)
{
	(void)msg;
	return subscribe_simple(
		kb_slice_of_str(exchange), kb_slice_of_str(type), kb_slice_of_str(queue), kb_slice_of_str(routing_key));
}
