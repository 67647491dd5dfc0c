/*
 * Bare librabbitmq: question and answer, to compare kazoo_query with, and deliveries that nothing is done with, to know
 * how many the broker can make.
 *
 *     amqp_rtt URL ask COUNT [EXCHANGE]   asks one after the other; prints mean, median and own CPU in microseconds
 *     amqp_rtt URL serve                  answers until it is ended
 *     amqp_rtt URL drain COUNT QUEUE      takes so many that wait in the queue; prints the same, for each message
 *
 * The question goes to exchange `callevt` or the one given, key `call.status`; the answer to exchange `targeted` with
 * the question's Server-ID as its routing key, as the applications behind kazoo do it.
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "measure.h"

static amqp_connection_state_t connection;

static void check(amqp_rpc_reply_t reply, const char *what)
{
	if (reply.reply_type == AMQP_RESPONSE_NORMAL)
		return;
	fprintf(stderr, "amqp_rtt: %s failed\n", what);
	exit(1);
}

static void must(const char *what)
{
	check(amqp_get_rpc_reply(connection), what);
}

static void connect_to(char *url)
{
	struct amqp_connection_info info;
	if (amqp_parse_url(url, &info) != AMQP_STATUS_OK) {
		fprintf(stderr, "amqp_rtt: %s is no AMQP URL\n", url);
		exit(2);
	}
	connection = amqp_new_connection();
	amqp_socket_t *socket = amqp_tcp_socket_new(connection);
	if (amqp_socket_open(socket, info.host, info.port) != AMQP_STATUS_OK) {
		fprintf(stderr, "amqp_rtt: cannot connect\n");
		exit(1);
	}
	check(amqp_login(connection, info.vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password), "login");
	amqp_channel_open(connection, 1);
	must("channel.open");
}

/* A queue of our own on a direct or topic exchange, consumed without acknowledgements. */
static void consume(const char *exchange, const char *type, const char *key)
{
	amqp_exchange_declare(
		connection, 1, amqp_cstring_bytes(exchange), amqp_cstring_bytes(type), 0, 0, 0, 0, amqp_empty_table);
	must("exchange.declare");
	amqp_queue_declare_ok_t *queue = amqp_queue_declare(connection, 1, amqp_empty_bytes, 0, 0, 1, 1, amqp_empty_table);
	must("queue.declare");
	amqp_bytes_t name = amqp_bytes_malloc_dup(queue->queue);
	amqp_queue_bind(connection, 1, name, amqp_cstring_bytes(exchange), amqp_cstring_bytes(key), amqp_empty_table);
	must("queue.bind");
	amqp_basic_consume(connection, 1, name, amqp_empty_bytes, 0, 1, 1, amqp_empty_table);
	must("basic.consume");
	amqp_bytes_free(name);
}

static void publish(const char *exchange, const char *key, const char *payload)
{
	amqp_basic_properties_t properties = {
		._flags = AMQP_BASIC_CONTENT_TYPE_FLAG, .content_type = amqp_cstring_bytes("application/json")};
	if (amqp_basic_publish(connection, 1, amqp_cstring_bytes(exchange), amqp_cstring_bytes(key), 0, 0, &properties,
			amqp_cstring_bytes(payload)) != AMQP_STATUS_OK) {
		fprintf(stderr, "amqp_rtt: publish failed\n");
		exit(1);
	}
}

/* The text behind "NAME":" in a payload that is known to hold it. */
static void field(const char *payload, const char *name, char *to, size_t size)
{
	char pattern[64];
	snprintf(pattern, sizeof pattern, "\"%s\":\"", name);
	const char *at = strstr(payload, pattern);
	size_t n = 0;
	for (at = at ? at + strlen(pattern) : ""; *at && *at != '"' && n + 1 < size; at++)
		to[n++] = *at;
	to[n] = '\0';
}

static void receive(char *payload, size_t size)
{
	amqp_envelope_t envelope;
	amqp_maybe_release_buffers(connection);
	amqp_rpc_reply_t reply = amqp_consume_message(connection, &envelope, NULL, 0);
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		exit(0); /* the broker went away: the end of a serve */
	size_t n = envelope.message.body.len < size - 1 ? envelope.message.body.len : size - 1;
	memcpy(payload, envelope.message.body.bytes, n);
	payload[n] = '\0';
	amqp_destroy_envelope(&envelope);
}

static void serve(void)
{
	static char question[65536], answer[1024], id[256], server[256];
	amqp_exchange_declare(
		connection, 1, amqp_cstring_bytes("targeted"), amqp_cstring_bytes("direct"), 0, 0, 0, 0, amqp_empty_table);
	must("exchange.declare");
	consume("callevt", "topic", "call.#");
	puts("ready");
	fflush(stdout);
	for (;;) {
		receive(question, sizeof question);
		field(question, "Msg-ID", id, sizeof id);
		field(question, "Server-ID", server, sizeof server);
		snprintf(answer, sizeof answer,
			"{\"Event-Category\":\"call_event\",\"Event-Name\":\"query_resp\",\"Msg-ID\":\"%s\",\"Status\":\"ok\"}",
			id);
		publish("targeted", server, answer);
	}
}

static int by_value(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;
	return d < 0 ? -1 : d > 0;
}

static void ask(int count, const char *exchange)
{
	static char question[1024], answer[65536];
	double *times = calloc((size_t)count, sizeof *times), sum = 0;
	consume("targeted", "direct", "amqp_rtt");
	for (int i = 0; times && i < count; i++) {
		snprintf(question, sizeof question,
			"{\"Event-Category\":\"call_event\",\"Event-Name\":\"query_req\",\"Realm\":\"sip.example.com\","
			"\"Msg-ID\":\"%032d\",\"Server-ID\":\"amqp_rtt\"}",
			i);
		double began = now_s();
		publish(exchange, "call.status", question);
		receive(answer, sizeof answer);
		sum += times[i] = now_s() - began;
	}
	qsort(times, (size_t)count, sizeof *times, by_value);
	printf("%.1f %.1f %.1f\n", 1e6 * sum / count, 1e6 * times[count / 2], 1e6 * cpu_s(RUSAGE_SELF) / count);
	free(times);
}

/* From the first to the last: how long it takes until they come is another matter. */
static void drain(int count, const char *queue)
{
	static char payload[65536];
	amqp_basic_consume(connection, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 1, 0, amqp_empty_table);
	must("basic.consume");
	receive(payload, sizeof payload);
	double began = now_s();
	for (int i = 1; i < count; i++)
		receive(payload, sizeof payload);
	double mean = 1e6 * (now_s() - began) / count;
	printf("%.1f %.1f %.1f\n", mean, mean, 1e6 * cpu_s(RUSAGE_SELF) / count);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[2], "serve") == 0) {
		connect_to(argv[1]);
		serve();
	} else if ((argc == 4 || argc == 5) && strcmp(argv[2], "ask") == 0 && atoi(argv[3]) > 0) {
		connect_to(argv[1]);
		ask(atoi(argv[3]), argc == 5 ? argv[4] : "callevt");
	} else if (argc == 5 && strcmp(argv[2], "drain") == 0 && atoi(argv[3]) > 0) {
		connect_to(argv[1]);
		drain(atoi(argv[3]), argv[4]);
	} else {
		fprintf(stderr, "usage: amqp_rtt URL serve | URL ask COUNT [EXCHANGE] | URL drain COUNT QUEUE\n");
		return 2;
	}
	return 0;
}
