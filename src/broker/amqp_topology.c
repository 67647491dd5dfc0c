#include "broker/amqp_topology.h"

#include <stdio.h>

const char *kb_amqp_reason(amqp_rpc_reply_t reply)
{
	static char text[300];
	if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
		return amqp_error_string2(reply.library_error);
	if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION)
		return "no answer";
	unsigned code = 0;
	amqp_bytes_t why = amqp_empty_bytes;
	if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
		const amqp_channel_close_t *close = reply.reply.decoded;
		code = close->reply_code, why = close->reply_text;
	} else if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
		const amqp_connection_close_t *close = reply.reply.decoded;
		code = close->reply_code, why = close->reply_text;
	}
	snprintf(text, sizeof text, "%u %.*s", code, (int)(why.len > 250 ? 250 : why.len), (const char *)why.bytes);
	return text;
}

/* One step of the declaration: true when the last call was answered well. */
static bool step(amqp_connection_state_t connection, const char *what, const char *name, char *error, size_t size,
	bool *connection_lost)
{
	amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
	if (reply.reply_type == AMQP_RESPONSE_NORMAL)
		return true;
	*connection_lost =
		reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD;
	snprintf(error, size, "%s \"%.100s\": %s", what, name, kb_amqp_reason(reply));
	return false;
}

static bool bind_all(amqp_connection_state_t connection, amqp_channel_t channel, const struct kb_subscription *s,
	amqp_bytes_t queue, char *error, size_t size, bool *lost)
{
	for (size_t i = 0; i < s->n_routing; i++) {
		amqp_queue_bind(connection, channel, queue, amqp_cstring_bytes(s->exchange.name),
			amqp_cstring_bytes(s->routing[i]), amqp_empty_table);
		if (!step(connection, "binding the queue with routing key", s->routing[i], error, size, lost))
			return false;
	}
	return true;
}

const char *kb_amqp_topology(
	amqp_connection_state_t connection, amqp_channel_t channel, const struct kb_subscription *s, bool *connection_lost)
{
	static char error[500];
	*connection_lost = false;
	amqp_channel_open(connection, channel);
	if (!step(connection, "opening a channel for", s->queue.name, error, sizeof error, connection_lost))
		return error;

	/* The default exchange exists always and must not be declared or bound to (2.1.2.4 of the specification). */
	bool named = s->exchange.name[0] != '\0';
	if (named) {
		amqp_exchange_declare(connection, channel, amqp_cstring_bytes(s->exchange.name),
			amqp_cstring_bytes(s->exchange.type), s->exchange.passive, s->exchange.durable, s->exchange.auto_delete,
			s->exchange.internal, amqp_empty_table);
		if (!step(connection, "declaring exchange", s->exchange.name, error, sizeof error, connection_lost))
			return error;
	}

	const amqp_queue_declare_ok_t *declared = amqp_queue_declare(connection, channel, amqp_cstring_bytes(s->queue.name),
		s->queue.passive, s->queue.durable, s->queue.exclusive, s->queue.auto_delete, amqp_empty_table);
	if (!step(connection, "declaring queue", s->queue.name, error, sizeof error, connection_lost))
		return error;

	amqp_bytes_t queue = amqp_bytes_malloc_dup(declared->queue); /* the server may have chosen the name */
	bool ok = !named || bind_all(connection, channel, s, queue, error, sizeof error, connection_lost);
	if (ok) {
		amqp_basic_consume(
			connection, channel, queue, amqp_empty_bytes, 0, s->no_ack, s->queue.exclusive, amqp_empty_table);
		ok = step(connection, "consuming from queue", s->queue.name, error, sizeof error, connection_lost);
	}
	amqp_bytes_free(queue);
	return ok ? NULL : error;
}
