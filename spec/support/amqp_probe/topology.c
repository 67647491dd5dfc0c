#include "topology.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "session.h"

static bool has_flag(int count, char **words, const char *flag)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(words[i], flag))
			return true;
	return false;
}

void probe_declare_exchange(amqp_connection_state_t connection, int argc, char **argv)
{
	const char *name = probe_argument(argc, argv, 0, "NAME"), *type = probe_argument(argc, argv, 1, "TYPE");
	amqp_exchange_declare(connection, PROBE_CHANNEL, amqp_cstring_bytes(name), amqp_cstring_bytes(type),
		has_flag(argc, argv, "passive"), has_flag(argc, argv, "durable"), has_flag(argc, argv, "auto_delete"),
		has_flag(argc, argv, "internal"), amqp_empty_table);
	probe_check(connection, name);
}

void probe_declare_queue(amqp_connection_state_t connection, int argc, char **argv)
{
	const char *name = probe_argument(argc, argv, 0, "NAME");
	amqp_table_entry_t type = {.key = amqp_cstring_bytes("x-queue-type"),
		.value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("quorum")}};
	amqp_table_t arguments = {.num_entries = has_flag(argc, argv, "quorum"), .entries = &type};
	amqp_queue_declare_ok_t *ok = amqp_queue_declare(connection, PROBE_CHANNEL, amqp_cstring_bytes(name),
		has_flag(argc, argv, "passive"), has_flag(argc, argv, "durable"), has_flag(argc, argv, "exclusive"),
		has_flag(argc, argv, "auto_delete"), arguments);
	probe_check(connection, name);
	printf("%.*s %u %u\n", (int)ok->queue.len, (char *)ok->queue.bytes, ok->message_count, ok->consumer_count);
}

void probe_bind_queue(amqp_connection_state_t connection, int argc, char **argv)
{
	const char *queue = probe_argument(argc, argv, 0, "QUEUE"), *exchange = probe_argument(argc, argv, 1, "EXCHANGE");
	amqp_queue_bind(connection, PROBE_CHANNEL, amqp_cstring_bytes(queue), amqp_cstring_bytes(exchange),
		amqp_cstring_bytes(probe_argument(argc, argv, 2, "KEY")), amqp_empty_table);
	probe_check(connection, queue);
}

void probe_delete(amqp_connection_state_t connection, int argc, char **argv)
{
	const char *kind = probe_argument(argc, argv, 0, "exchange|queue"), *name = probe_argument(argc, argv, 1, "NAME");
	if (!strcmp(kind, "queue"))
		amqp_queue_delete(connection, PROBE_CHANNEL, amqp_cstring_bytes(name), 0, 0);
	else
		amqp_exchange_delete(connection, PROBE_CHANNEL, amqp_cstring_bytes(name), 0);
	probe_check(connection, name);
}
