#include "consume.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#include "print.h"
#include "session.h"

typedef struct {
	const char *queue;
	long count;
	double deadline, total_deadline;
	int prefetch;
	bool no_ack, quiet;
} consumption;

static void parse_consumption(consumption *s, int argc, char **argv)
{
	static const struct option options[] = {{"count", required_argument, 0, 'n'},
		{"deadline", required_argument, 0, 'd'}, {"total-deadline", required_argument, 0, 't'},
		{"no-ack", no_argument, 0, 'a'}, {"prefetch", required_argument, 0, 'p'}, {"quiet", no_argument, 0, 'q'},
		{0, 0, 0, 0}};
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 'n': s->count = atol(optarg); break;
		case 'd': s->deadline = atof(optarg); break;
		case 't': s->total_deadline = atof(optarg); break;
		case 'a': s->no_ack = true; break;
		case 'p': s->prefetch = atoi(optarg); break;
		case 'q': s->quiet = true; break;
		default: exit(2);
		}
	}
	s->queue = probe_argument(argc, argv, optind, "QUEUE");
}

/* A message in *envelope, or false when none came in time; whatever else happens ends the program. */
static bool next_message(amqp_connection_state_t connection, amqp_envelope_t *envelope, double deadline)
{
	struct timeval timeout = {.tv_sec = (long)deadline, .tv_usec = (long)((deadline - (long)deadline) * 1e6)};
	amqp_maybe_release_buffers(connection);
	amqp_rpc_reply_t reply = amqp_consume_message(connection, envelope, &timeout, 0);
	if (reply.reply_type == AMQP_RESPONSE_NORMAL)
		return true;
	if (reply.library_error != AMQP_STATUS_TIMEOUT)
		probe_die("consume", probe_reply_text(reply));
	return false;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double shorter(double a, double b)
{
	return a < b ? a : b;
}

static long consume_loop(amqp_connection_state_t connection, const consumption *s)
{
	double end = now() + s->total_deadline;
	long got = 0;
	amqp_envelope_t envelope;
	while (!s->count || got < s->count) {
		double left = end - now();
		if (left <= 0 || !next_message(connection, &envelope, shorter(left, s->deadline)))
			break;
		got++;
		if (!s->quiet)
			probe_print_envelope(&envelope);
		if (!s->no_ack)
			amqp_basic_ack(connection, PROBE_CHANNEL, envelope.delivery_tag, 0);
		amqp_destroy_envelope(&envelope);
	}
	return got;
}

void probe_consume(amqp_connection_state_t connection, int argc, char **argv)
{
	consumption s = {.deadline = 1e6, .total_deadline = 1e6, .prefetch = 1000};
	parse_consumption(&s, argc, argv);
	if (s.count && s.count < s.prefetch)
		s.prefetch = s.count;
	amqp_basic_qos(connection, PROBE_CHANNEL, 0, s.prefetch, 0);
	probe_check(connection, "qos");
	amqp_basic_consume(
		connection, PROBE_CHANNEL, amqp_cstring_bytes(s.queue), amqp_empty_bytes, 0, s.no_ack, 0, amqp_empty_table);
	probe_check(connection, s.queue);
	fprintf(stderr, "ready\n");
	long got = consume_loop(connection, &s);
	if (s.quiet)
		printf("%ld\n", got);
}
