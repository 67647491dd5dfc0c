#include "kamailio/kazoo/description.h"

#include <core/dprint.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/json.h"
#include "kamailio/kazoo/description_values.h"

/* The description being read, and the subscription being made from it. A field that is null counts as absent. */
struct reading {
	struct kz_description_place at;
	struct kb_subscription *s;
	struct kb_exchange *exchange; /* the definition being read */
	struct kz_description_names routing;
	const char *worker_key; /* consistent-worker-key and consistent-worker, which may come in any order */
	bool consistent_worker, said_consistent_worker;
};

/* -- definitions -- */

#define IS(name) kb_slice_equal(field, KB_SLICE_LITERAL(name))

static void ignore(const struct reading *r, struct kb_slice field)
{
	LM_DBG("kazoo_subscribe: unknown field %s%.*s ignored\n", r->at.within, KB_SLICE_FMT(field));
}

/* The name at the top counts before that in a definition. */
static const char *name_unless_given(
	struct reading *r, struct kb_slice field, struct kb_json_value value, const char *given)
{
	return given && given[0] ? given : kz_description_values_name(&r->at, field, value);
}

static bool read_exchange_definition(void *context, struct kb_slice field, struct kb_json_value value)
{
	struct reading *r = context;
	struct kb_exchange *e = r->exchange;
	if (value.type == KB_JSON_NULL)
		return true;
	if (IS("name") || IS("exchange"))
		e->name = name_unless_given(r, field, value, e->name);
	else if (IS("type"))
		e->type = kz_description_values_name(&r->at, field, value);
	else if (IS("durable"))
		e->durable = kz_description_values_flag(&r->at, field, value);
	else if (IS("passive"))
		e->passive = kz_description_values_flag(&r->at, field, value);
	else if (IS("auto_delete"))
		e->auto_delete = kz_description_values_flag(&r->at, field, value);
	else if (IS("internal"))
		e->internal = kz_description_values_flag(&r->at, field, value);
	else if (IS("arguments"))
		e->arguments = kz_description_values_arguments(&r->at, field, value);
	else
		ignore(r, field);
	return !r->at.failed;
}

static bool read_queue_definition(void *context, struct kb_slice field, struct kb_json_value value)
{
	struct reading *r = context;
	struct kb_queue *q = &r->s->queue;
	if (value.type == KB_JSON_NULL)
		return true;
	if (IS("name") || IS("queue"))
		q->name = name_unless_given(r, field, value, q->name);
	else if (IS("durable"))
		q->durable = kz_description_values_flag(&r->at, field, value);
	else if (IS("passive"))
		q->passive = kz_description_values_flag(&r->at, field, value);
	else if (IS("exclusive"))
		q->exclusive = kz_description_values_flag(&r->at, field, value);
	else if (IS("auto_delete"))
		q->auto_delete = kz_description_values_flag(&r->at, field, value);
	else if (IS("arguments"))
		q->arguments = kz_description_values_arguments(&r->at, field, value);
	else
		ignore(r, field);
	return !r->at.failed;
}

/* -- exchange-bindings -- */

static bool read_source_field(void *context, struct kb_slice field, struct kb_json_value value)
{
	struct reading *r = context;
	if (!IS("routing"))
		return read_exchange_definition(context, field, value);
	kz_description_values_names(&r->at, field, value, r->routing);
	return !r->at.failed;
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

/* As in Debian's module, a source without a routing key in a string, or in an array of them, is left out. */
static bool has_routing(struct kb_json_value source)
{
	struct kb_json_value routing = kb_json_member(source.raw, KB_SLICE_LITERAL("routing"));
	return routing.type == KB_JSON_STRING || kb_json_count(routing) > 0;
}

static bool read_source_of(struct reading *r, struct kb_slice name, struct kb_json_value value)
{
	struct reading inner = *r;
	char within[300];
	struct kb_exchange_binding *binding = new_binding(r->s);
	if (!binding)
		return kz_description_values_refuse(&r->at, name, value, "shorter: out of memory");
	binding->source.name = kz_description_values_copy_name(name);
	if (!binding->source.name)
		return kz_description_values_refuse(&r->at, name, value, "under a name of at most 255 bytes");
	snprintf(within, sizeof within, "exchange-bindings.%.*s.", KB_SLICE_FMT(name));
	inner.at.within = within;
	inner.exchange = &binding->source;
	inner.routing = (struct kz_description_names){&binding->routing, &binding->n_routing};
	kb_json_each(value.raw, read_source_field, &inner);
	r->at.failed = inner.at.failed;
	return !r->at.failed;
}

static bool read_source(void *context, struct kb_slice name, struct kb_json_value value)
{
	struct reading *r = context;
	if (value.type == KB_JSON_OBJECT && has_routing(value))
		return read_source_of(r, name, value);
	r->at.within = "exchange-bindings.";
	kz_description_values_warn(&r->at, name, value, "no binding: it has no routing");
	return true;
}

/* -- the fields at the top -- */

static void read_queue_flags(struct reading *r, struct kb_slice field, struct kb_json_value value)
{
	struct kb_subscription *s = r->s;
	if (IS("durable"))
		s->queue.durable = s->exchange.durable = kz_description_values_flag(&r->at, field, value);
	else if (IS("passive"))
		s->queue.passive = s->exchange.passive = kz_description_values_flag(&r->at, field, value);
	else if (IS("auto_delete"))
		s->queue.auto_delete = s->exchange.auto_delete = kz_description_values_flag(&r->at, field, value);
	else if (IS("exclusive"))
		s->queue.exclusive = kz_description_values_flag(&r->at, field, value);
	else if (IS("arguments"))
		s->queue.arguments = kz_description_values_arguments(&r->at, field, value);
	else if (!IS("exchange-def") && !IS("queue-def") && !IS("exchange-bindings"))
		ignore(r, field);
}

static void read_handling(struct reading *r, struct kb_slice field, struct kb_json_value value)
{
	struct kb_subscription *s = r->s;
	if (IS("no_ack"))
		s->no_ack = kz_description_values_flag(&r->at, field, value);
	else if (IS("wait_for_consumer_ack"))
		s->wait_for_consumer_ack = kz_description_values_flag(&r->at, field, value);
	else if (IS("prefetch"))
		s->prefetch = kz_description_values_count(&r->at, field, value);
	else if (IS("federate"))
		s->federate = kz_description_values_flag(&r->at, field, value);
	else if (IS("consumer_tag"))
		s->consumer_tag = kz_description_values_name(&r->at, field, value);
	else if (IS("consistent-worker-key"))
		r->worker_key = kz_description_values_name(&r->at, field, value);
	else if (IS("consistent-worker"))
		r->consistent_worker = kz_description_values_flag(&r->at, field, value), r->said_consistent_worker = true;
	else
		read_queue_flags(r, field, value);
}

static bool read_field(void *context, struct kb_slice field, struct kb_json_value value)
{
	struct reading *r = context;
	struct kb_subscription *s = r->s;
	if (value.type == KB_JSON_NULL)
		return true;
	if (IS("exchange"))
		s->exchange.name = kz_description_values_name(&r->at, field, value);
	else if (IS("type"))
		s->exchange.type = kz_description_values_name(&r->at, field, value);
	else if (IS("queue"))
		s->queue.name = kz_description_values_name(&r->at, field, value);
	else if (IS("routing"))
		kz_description_values_names(&r->at, field, value, r->routing);
	else if (IS("event_key"))
		s->event_key = kz_description_values_name(&r->at, field, value);
	else if (IS("event_subkey"))
		s->event_subkey = kz_description_values_name(&r->at, field, value);
	else
		read_handling(r, field, value);
	return !r->at.failed;
}

#undef IS

/* -- the whole -- */

static void read_part(struct reading *r, const char *name, const char *within,
	bool (*each)(void *context, struct kb_slice key, struct kb_json_value value))
{
	struct kb_json_value part = kb_json_member(r->at.json, kb_slice_from(name));
	if (r->at.failed || part.type <= KB_JSON_NULL)
		return;
	if (part.type != KB_JSON_OBJECT) {
		kz_description_values_warn(&r->at, kb_slice_from(name), part, "an object without fields");
		return;
	}
	r->at.within = within;
	kb_json_each(part.raw, each, r);
	r->at.within = "";
}

static bool has(const struct reading *r, const char *name)
{
	return kb_json_member(r->at.json, kb_slice_from(name)).type > KB_JSON_NULL;
}

/* An exchange or queue with a definition takes its flags from there, with their defaults. The flags at the top apply
 * only when there is no definition. */
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
	if (there || r->at.failed)
		return;
	LM_ERR("kazoo_subscribe: field %s is required, in %.*s\n", field, KB_SLICE_FMT(r->at.json));
	r->at.failed = true;
}

static void check_bindings(struct reading *r)
{
	for (size_t i = 0; i < r->s->n_exchange_bindings; i++) {
		const struct kb_exchange_binding *b = &r->s->exchange_bindings[i];
		char field[300];
		snprintf(field, sizeof field, "exchange-bindings.%s.type", b->source.name);
		require(r, field, b->source.type[0] || b->source.passive);
	}
}

/* A worker key turns consistent-worker on, unless the description turns it off. */
static void settle_worker_key(struct reading *r)
{
	bool has_key = r->worker_key && r->worker_key[0];
	if (r->consistent_worker && !has_key)
		LM_WARN("kazoo_subscribe: consistent-worker has no effect for queue \"%s\" without consistent-worker-key\n",
			r->s->queue.name);
	if (has_key && (r->consistent_worker || !r->said_consistent_worker))
		r->s->worker_key = r->worker_key;
}

/* Exchanges of the types fanout and headers have no use for a routing key. */
static void bind_with_empty_key(struct reading *r)
{
	struct kb_json_value absent = {KB_JSON_NONE, {NULL, 0}};
	if (r->s->n_routing == 0 && !r->at.failed)
		kz_description_values_names(&r->at, KB_SLICE_LITERAL("routing"), absent, r->routing);
}

/* Without acknowledgements these fields have no effect. */
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
	struct reading r = {
		.at = {.json = json, .within = ""}, .s = s, .exchange = &s->exchange, .routing = {&s->routing, &s->n_routing}};
	if (kb_json_get(json, kb_slice(NULL, 0), 0).type != KB_JSON_OBJECT) {
		LM_ERR("kazoo_subscribe: the description is not a JSON object: %.*s\n", KB_SLICE_FMT(json));
		return false;
	}
	kb_json_each(json, read_field, &r);
	/* The definitions override the fields at the top, in whatever order they come. */
	forget_flags_of_defined(&r);
	read_part(&r, "exchange-def", "exchange-def.", read_exchange_definition);
	read_part(&r, "queue-def", "queue-def.", read_queue_definition);
	read_part(&r, "exchange-bindings", "exchange-bindings.", read_source);
	require(&r, "exchange", s->exchange.name[0]);
	require(&r, "type", s->exchange.type[0]);
	bind_with_empty_key(&r);
	check_bindings(&r);
	settle_worker_key(&r);
	warn_of_no_ack(s);
	return !r.at.failed;
}
