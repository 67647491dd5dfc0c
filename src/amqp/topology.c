#include "amqp/topology.h"

#include <stdio.h>
#include "amqp/arguments.h"
#include "amqp/reason.h"
#include "core/log.h"

/* A subscription that is being declared. */
struct declaring {
	amqp_connection_state_t connection;
	amqp_channel_t channel;
	const struct kb_subscription *s;
	struct kb_amqp_declared *result;
	amqp_bytes_t queue; /* the broker may have chosen the name */
};

/* Unknown types of exchanges, for one, are not the channel's end but the connection's; 320 is an operator's doing, and
 * a broker that is short of something or broken is so whatever is declared. */
static bool closes_connection_over_us(amqp_rpc_reply_t reply)
{
	if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply.reply.id != AMQP_CONNECTION_CLOSE_METHOD)
		return false;
	const amqp_connection_close_t *close = reply.reply.decoded;
	return close->reply_code >= 500 && close->reply_code != AMQP_RESOURCE_ERROR &&
		   close->reply_code != AMQP_INTERNAL_ERROR;
}

static bool exists_otherwise(amqp_rpc_reply_t reply)
{
	if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD)
		return false;
	const amqp_channel_close_t *close = reply.reply.decoded;
	return close->reply_code == AMQP_PRECONDITION_FAILED;
}

/* True when the last call succeeded. */
static bool step(struct declaring *d, const char *what, const char *name)
{
	amqp_rpc_reply_t reply = amqp_get_rpc_reply(d->connection);
	if (reply.reply_type == AMQP_RESPONSE_NORMAL)
		return true;
	d->result->connection_lost =
		reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD;
	d->result->offended = closes_connection_over_us(reply);
	d->result->differs = exists_otherwise(reply);
	snprintf(d->result->error, sizeof d->result->error, "%s \"%.100s\": %s", what, name, kb_amqp_reason_of(reply));
	return false;
}

/* The description was checked when it was read, so only memory can be out. */
static bool read_arguments(struct declaring *d, const char *json, struct kb_amqp_arguments *a)
{
	if (kb_amqp_arguments_read(json, a))
		return true;
	snprintf(d->result->error, sizeof d->result->error, "out of memory for the arguments %.300s", json);
	return false;
}

static bool open_channel(struct declaring *d)
{
	amqp_channel_open(d->connection, d->channel);
	if (!step(d, "opening a channel for", d->s->queue.name))
		return false;
	if (d->s->prefetch)
		amqp_basic_qos(d->connection, d->channel, 0, d->s->prefetch, 0);
	return !d->s->prefetch || step(d, "setting the prefetch of", d->s->queue.name);
}

static bool declare_exchange(struct declaring *d, const struct kb_exchange *e)
{
	struct kb_amqp_arguments arguments;
	bool good = read_arguments(d, e->arguments, &arguments);
	if (good) {
		amqp_exchange_declare(d->connection, d->channel, amqp_cstring_bytes(e->name), amqp_cstring_bytes(e->type),
			e->passive, e->durable, e->auto_delete, e->internal, arguments.table);
		good = step(d, "declaring exchange", e->name);
	}
	kb_amqp_arguments_free(&arguments);
	return good;
}

/* On another channel, as the broker has closed this one. */
static bool use_as_it_is(struct declaring *d)
{
	struct kb_exchange existing = d->s->exchange;
	existing.passive = true;
	kb_log(
		KB_LOG_WARNING, "amqp: using exchange \"%s\" as it exists on the broker: %s", existing.name, d->result->error);
	*d->result = (struct kb_amqp_declared){0};
	amqp_send_method(d->connection, d->channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	return open_channel(d) && declare_exchange(d, &existing);
}

static bool bind_exchange(struct declaring *d, const struct kb_exchange_binding *binding)
{
	if (!declare_exchange(d, &binding->source))
		return false;
	for (size_t i = 0; i < binding->n_routing; i++) {
		amqp_exchange_bind(d->connection, d->channel, amqp_cstring_bytes(d->s->exchange.name),
			amqp_cstring_bytes(binding->source.name), amqp_cstring_bytes(binding->routing[i]), amqp_empty_table);
		if (!step(d, "binding the exchange to exchange", binding->source.name))
			return false;
	}
	return true;
}

/* The default exchange exists always and must not be declared or bound to (2.1.2.4 of the specification). */
static bool named_exchange(const struct declaring *d)
{
	return d->s->exchange.name[0] != '\0';
}

static bool declare_exchanges(struct declaring *d)
{
	if (!named_exchange(d))
		return true;
	bool good = declare_exchange(d, &d->s->exchange);
	if (!good && d->result->differs && d->s->exchange.as_it_is)
		good = use_as_it_is(d);
	if (!good)
		return false;
	for (size_t i = 0; i < d->s->n_exchange_bindings; i++)
		if (!bind_exchange(d, &d->s->exchange_bindings[i]))
			return false;
	return true;
}

static bool declare_queue(struct declaring *d)
{
	const struct kb_queue *q = &d->s->queue;
	const amqp_queue_declare_ok_t *declared = NULL;
	struct kb_amqp_arguments arguments;
	bool good = read_arguments(d, q->arguments, &arguments);
	if (good) {
		declared = amqp_queue_declare(d->connection, d->channel, amqp_cstring_bytes(q->name), q->passive, q->durable,
			q->exclusive, q->auto_delete, arguments.table);
		good = step(d, "declaring queue", q->name);
	}
	kb_amqp_arguments_free(&arguments);
	if (!good)
		return false;
	d->queue = amqp_bytes_malloc_dup(declared->queue);
	d->result->waiting = declared->message_count;
	return true;
}

static bool bind_queue(struct declaring *d)
{
	for (size_t i = 0; named_exchange(d) && i < d->s->n_routing; i++) {
		amqp_queue_bind(d->connection, d->channel, d->queue, amqp_cstring_bytes(d->s->exchange.name),
			amqp_cstring_bytes(d->s->routing[i]), amqp_empty_table);
		if (!step(d, "binding the queue with routing key", d->s->routing[i]))
			return false;
	}
	return true;
}

static bool consume(struct declaring *d)
{
	amqp_bytes_t tag = d->s->consumer_tag ? amqp_cstring_bytes(d->s->consumer_tag) : amqp_empty_bytes;
	amqp_basic_consume(
		d->connection, d->channel, d->queue, tag, 0, d->s->no_ack, d->s->queue.exclusive, amqp_empty_table);
	return step(d, "consuming from queue", d->s->queue.name);
}

bool kb_amqp_topology_declare(amqp_connection_state_t connection, amqp_channel_t channel,
	const struct kb_subscription *s, struct kb_amqp_declared *declared)
{
	struct declaring d = {connection, channel, s, declared, amqp_empty_bytes};
	*declared = (struct kb_amqp_declared){0};
	bool good = open_channel(&d) && declare_exchanges(&d) && declare_queue(&d) && bind_queue(&d) && consume(&d);
	amqp_bytes_free(d.queue);
	return good;
}
