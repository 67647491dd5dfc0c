#include "kamailio/kazoo/description.h"

#include <core/dprint.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/json.h"
#include "core/json_rewrite.h"
#include "core/routing_key.h"

enum { ARGUMENTS_MAX = 60000 /* bytes: they must fit into one frame */ };

/* The description being read, and the subscription being made of it. */
struct reading {
	struct kb_slice json;
	struct kb_subscription *s;
	const char *within;           /* the object being read, with a dot behind it; "" at the top */
	struct kb_exchange *exchange; /* the definition being read */
	const char *const **routing;  /* the list that read_routing() makes longer */
	size_t *n_routing;
	const char *worker_key; /* consistent-worker-key and consistent-worker, which may come in any order */
	bool consistent_worker, said_consistent_worker;
	bool failed;
};

static bool complain(struct reading *r, struct kb_slice field, struct kb_json_value value, const char *right)
{
	LM_ERR("kazoo_subscribe: %s%.*s: %.*s must be %s, in %.*s\n", r->within, KB_SLICE_FMT(field),
		KB_SLICE_FMT(value.raw), right, KB_SLICE_FMT(r->json));
	r->failed = true;
	return false;
}

/* -- values -- */

/* A name for the broker: at most 255 bytes (short string of AMQP), none of them NUL. NULL when it is none. */
static const char *name_of(struct kb_slice text)
{
	bool good = text.n <= KB_ROUTING_KEY_MAX && (text.n == 0 || !memchr(text.p, '\0', text.n));
	return good ? strndup(text.n ? text.p : "", text.n) : NULL;
}

static const char *read_name(struct reading *r, struct kb_slice field, struct kb_json_value value)
{
	struct kb_buf text = {0};
	kb_json_text(value, &text);
	const char *name = value.type == KB_JSON_STRING && !text.failed ? name_of(kb_buf_slice(&text)) : NULL;
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

static bool is_integer(struct kb_json_value value, long long *number)
{
	char digits[24], *end;
	if (value.type != KB_JSON_NUMBER || value.raw.n >= sizeof digits)
		return false;
	memcpy(digits, value.raw.p, value.raw.n);
	digits[value.raw.n] = '\0';
	errno = 0;
	*number = strtoll(digits, &end, 10);
	return errno == 0 && *end == '\0';
}

static uint16_t read_count(struct reading *r, struct kb_slice field, struct kb_json_value value)
{
	long long number;
	if (is_integer(value, &number) && number >= 0 && number <= UINT16_MAX)
		return (uint16_t)number;
	complain(r, field, value, "an integer between 0 and 65535");
	return 0;
}

static bool add_routing(void *context, struct kb_slice key, struct kb_json_value value)
{
	struct reading *r = context;
	const char **more = realloc((void *)*r->routing, (*r->n_routing + 1) * sizeof *more);
	(void)key;
	if (!more)
		return complain(r, KB_SLICE_LITERAL("routing"), value, "shorter: out of memory");
	*r->routing = more;
	more[(*r->n_routing)++] = read_name(r, KB_SLICE_LITERAL("routing"), value);
	return !r->failed;
}

static void read_routing(struct reading *r, struct kb_slice field, struct kb_json_value value)
{
	if (value.type == KB_JSON_ARRAY)
		kb_json_each(value.raw, add_routing, r);
	else
		add_routing(r, field, value);
}

/* -- arguments -- */

static bool check_argument(void *context, struct kb_slice name, struct kb_json_value value)
{
	struct reading *r = context;
	long long number;
	if (name.n > KB_ROUTING_KEY_MAX)
		return complain(r, KB_SLICE_LITERAL("arguments"), value, "under a name of at most 255 bytes");
	if (value.type == KB_JSON_TRUE || value.type == KB_JSON_FALSE || value.type == KB_JSON_STRING ||
		is_integer(value, &number))
		return true;
	if (value.type == KB_JSON_OBJECT)
		return kb_json_each(value.raw, check_argument, r) && !r->failed;
	char field[300];
	int n = snprintf(field, sizeof field, "arguments.%.*s", KB_SLICE_FMT(name));
	return complain(r, kb_slice(field, (size_t)n), value, "an integer of 64 bits, a boolean, a string or an object");
}

/* As strict JSON, for the broker layer to make of it what its protocol has. */
static const char *read_arguments(struct reading *r, struct kb_slice field, struct kb_json_value value)
{
	struct kb_buf text = {0};
	struct kb_json_error error;
	char *arguments = NULL;
	if (value.type == KB_JSON_NULL)
		return NULL;
	if (value.type != KB_JSON_OBJECT || value.raw.n > ARGUMENTS_MAX)
		complain(r, field, value, "an object of at most 60000 bytes");
	else if (kb_json_each(value.raw, check_argument, r) && !r->failed &&
			 kb_json_rewrite(value.raw, NULL, 0, &text, &error))
		arguments = strndup(text.p, text.n);
	if (!arguments && !r->failed)
		complain(r, field, value, "readable");
	kb_buf_free(&text);
	return arguments;
}

/* -- definitions -- */

#define IS(name) kb_slice_equal(field, KB_SLICE_LITERAL(name))

static void ignore(const struct reading *r, struct kb_slice field)
{
	LM_DBG("kazoo_subscribe: unknown field %s%.*s ignored\n", r->within, KB_SLICE_FMT(field));
}

static bool read_exchange_definition(void *context, struct kb_slice field, struct kb_json_value value)
{
	struct reading *r = context;
	struct kb_exchange *e = r->exchange;
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
	else if (IS("arguments"))
		e->arguments = read_arguments(r, field, value);
	else
		ignore(r, field);
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
	else if (IS("arguments"))
		q->arguments = read_arguments(r, field, value);
	else
		ignore(r, field);
	return !r->failed;
}

/* -- exchange-bindings -- */

static bool read_source_field(void *context, struct kb_slice field, struct kb_json_value value)
{
	struct reading *r = context;
	if (!IS("routing"))
		return read_exchange_definition(context, field, value);
	read_routing(r, field, value);
	return !r->failed;
}

static struct kb_exchange_binding *new_binding(struct kb_subscription *s)
{
	struct kb_exchange_binding *more =
		realloc((void *)(uintptr_t)s->exchange_bindings, (s->n_exchange_bindings + 1) * sizeof *more);
	if (!more)
		return NULL;
	s->exchange_bindings = more;
	more += s->n_exchange_bindings++;
	*more = (struct kb_exchange_binding){.source = {.type = ""}};
	return more;
}

static bool read_source(void *context, struct kb_slice field, struct kb_json_value value)
{
	struct reading inner, *r = context;
	char within[300];
	struct kb_exchange_binding *binding = new_binding(r->s);
	if (!binding)
		return complain(r, field, value, "shorter: out of memory");
	binding->source.name = name_of(field);
	if (!binding->source.name)
		return complain(r, field, value, "under a name of at most 255 bytes");
	inner = *r;
	snprintf(within, sizeof within, "exchange-bindings.%.*s.", KB_SLICE_FMT(field));
	inner.within = within;
	inner.exchange = &binding->source;
	inner.routing = &binding->routing;
	inner.n_routing = &binding->n_routing;
	if (!kb_json_each(value.raw, read_source_field, &inner) && !inner.failed)
		complain(&inner, KB_SLICE_LITERAL("(itself)"), value, "an object");
	r->failed = inner.failed;
	return !r->failed;
}

/* -- the fields at the top -- */

static void read_queue_flags(struct reading *r, struct kb_slice field, struct kb_json_value value)
{
	struct kb_subscription *s = r->s;
	if (IS("durable"))
		s->queue.durable = s->exchange.durable = read_flag(r, field, value);
	else if (IS("passive"))
		s->queue.passive = s->exchange.passive = read_flag(r, field, value);
	else if (IS("auto_delete"))
		s->queue.auto_delete = s->exchange.auto_delete = read_flag(r, field, value);
	else if (IS("exclusive"))
		s->queue.exclusive = read_flag(r, field, value);
	else if (IS("arguments"))
		s->queue.arguments = read_arguments(r, field, value);
	else if (!IS("exchange-def") && !IS("queue-def") && !IS("exchange-bindings"))
		ignore(r, field);
}

static void read_handling(struct reading *r, struct kb_slice field, struct kb_json_value value)
{
	struct kb_subscription *s = r->s;
	if (IS("no_ack"))
		s->no_ack = read_flag(r, field, value);
	else if (IS("wait_for_consumer_ack"))
		s->wait_for_consumer_ack = read_flag(r, field, value);
	else if (IS("prefetch"))
		s->prefetch = read_count(r, field, value);
	else if (IS("federate"))
		s->federate = read_flag(r, field, value);
	else if (IS("consumer_tag"))
		s->consumer_tag = read_name(r, field, value);
	else if (IS("consistent-worker-key"))
		r->worker_key = read_name(r, field, value);
	else if (IS("consistent-worker"))
		r->consistent_worker = read_flag(r, field, value), r->said_consistent_worker = true;
	else
		read_queue_flags(r, field, value);
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
	else if (IS("event_key"))
		s->event_key = read_name(r, field, value);
	else if (IS("event_subkey"))
		s->event_subkey = read_name(r, field, value);
	else
		read_handling(r, field, value);
	return !r->failed;
}

#undef IS

/* -- the whole -- */

static void read_part(struct reading *r, const char *name, const char *within,
	bool (*each)(void *context, struct kb_slice key, struct kb_json_value value))
{
	struct kb_json_value part = kb_json_member(r->json, kb_slice_from(name));
	if (r->failed || part.type == KB_JSON_NONE)
		return;
	r->within = within;
	bool is_object = part.type == KB_JSON_OBJECT;
	if (is_object)
		kb_json_each(part.raw, each, r);
	r->within = "";
	if (!is_object)
		complain(r, kb_slice_from(name), part, "an object");
}

static bool has(const struct reading *r, const char *name)
{
	return kb_json_member(r->json, kb_slice_from(name)).type != KB_JSON_NONE;
}

/* What has a definition has its flags from there, with their defaults: those at the top are for what has none. */
static void forget_flags_of_defined(struct reading *r)
{
	struct kb_exchange *e = &r->s->exchange;
	struct kb_queue *q = &r->s->queue;
	if (has(r, "exchange-def"))
		e->durable = e->passive = e->auto_delete = false;
	if (has(r, "queue-def")) {
		q->durable = q->passive = q->exclusive = false;
		q->auto_delete = true;
	}
}

static void require(struct reading *r, const char *field, bool there)
{
	if (there || r->failed)
		return;
	LM_ERR("kazoo_subscribe: the field %s is required, in %.*s\n", field, KB_SLICE_FMT(r->json));
	r->failed = true;
}

static void check_bindings(struct reading *r)
{
	for (size_t i = 0; i < r->s->n_exchange_bindings; i++) {
		const struct kb_exchange_binding *b = &r->s->exchange_bindings[i];
		char field[300];
		snprintf(field, sizeof field, "exchange-bindings.%s.type", b->source.name);
		require(r, field, b->source.type[0] || b->source.passive);
		snprintf(field, sizeof field, "exchange-bindings.%s.routing", b->source.name);
		require(r, field, b->n_routing > 0);
	}
}

/* A key asks for what it is the key of, unless that is turned off. */
static void settle_worker_key(struct reading *r)
{
	if (r->consistent_worker)
		require(r, "consistent-worker-key", r->worker_key && r->worker_key[0]);
	if (r->worker_key && r->worker_key[0] && (r->consistent_worker || !r->said_consistent_worker))
		r->s->worker_key = r->worker_key;
}

/* The broker waits for no acknowledgement then, so that these ask for nothing. */
static void warn_of_no_ack(const struct kb_subscription *s)
{
	if (s->no_ack && (s->wait_for_consumer_ack || s->prefetch))
		LM_WARN("kazoo_subscribe: %s has no effect for queue \"%s\" without \"no_ack\":0\n",
			s->wait_for_consumer_ack ? "wait_for_consumer_ack" : "prefetch", s->queue.name);
}

bool kz_description_read(struct kb_slice json, struct kb_subscription *s)
{
	*s = (struct kb_subscription){
		.exchange = {.name = "", .type = ""},
		.queue = {.name = "", .auto_delete = true},
		.no_ack = true,
		.event_key = "",
		.event_subkey = "",
	};
	struct reading r = {.json = json,
		.s = s,
		.within = "",
		.exchange = &s->exchange,
		.routing = &s->routing,
		.n_routing = &s->n_routing};
	if (kb_json_get(json, kb_slice(NULL, 0), 0).type != KB_JSON_OBJECT) {
		LM_ERR("kazoo_subscribe: the description is no JSON object: %.*s\n", KB_SLICE_FMT(json));
		return false;
	}
	kb_json_each(json, read_field, &r);
	/* The definitions count before the fields at the top, wherever they stand. */
	forget_flags_of_defined(&r);
	read_part(&r, "exchange-def", "exchange-def.", read_exchange_definition);
	read_part(&r, "queue-def", "queue-def.", read_queue_definition);
	read_part(&r, "exchange-bindings", "exchange-bindings.", read_source);
	require(&r, "exchange", s->exchange.name[0]);
	require(&r, "type", s->exchange.type[0]);
	require(&r, "routing", s->n_routing > 0);
	check_bindings(&r);
	settle_worker_key(&r);
	warn_of_no_ack(s);
	return !r.failed;
}
