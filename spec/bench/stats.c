/* What counting costs for each message: nanoseconds of CPU time. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "bus/subscription.h"
#include "bus/traffic.h"
#include "core/histogram.h"

enum { MESSAGES = 20000000, ROUNDS = 5 };

static struct kb_connection *connection;
static struct kb_stats *stats;
static const struct kb_message message = {.payload = {"{}", 2}};

/* Keeps the compiler from adding up the rounds of a loop. */
static void forget(void)
{
	__asm__ volatile("" ::: "memory");
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void measure(const char *name, void (*each)(void))
{
	double best = 1e9;
	for (int round = 0; round < ROUNDS; round++) {
		double start = seconds();
		for (int i = 0; i < MESSAGES; i++) {
			each();
			forget();
		}
		double ns = (seconds() - start) / MESSAGES * 1e9;
		best = ns < best ? ns : best;
	}
	printf("%-44s %6.1f ns\n", name, best);
}

static void nothing(void)
{
}

static void publish(void)
{
	kb_traffic_sent(connection, message.payload.n);
	kb_traffic_note(connection, confirmed);
}

static void deliver(void)
{
	kb_traffic_delivered(connection, &message);
}

static void deliver_and_acknowledge(void)
{
	kb_traffic_delivered(connection, &message);
	kb_traffic_settled(connection, &message.origin, KB_DONE);
}

static void drop(void)
{
	kb_traffic_drop(connection, &message.origin, KB_DROP_NO_ROUTE);
}

static void query(void)
{
	kb_histogram_note(kb_stats_row(stats, 0), 300);
}

int main(void)
{
	const char *routing = "a";
	struct kb_subscription s = {
		.exchange = {.name = "x", .type = "topic"}, .queue = {.name = "q"}, .routing = &routing, .n_routing = 1};
	stats = kb_stats_create(1, KB_HISTOGRAM_COLUMNS);
	connection = kb_traffic_connection(kb_traffic_create(1, 1), "bench", NULL, 0);
	if (!stats || !connection)
		abort();
	kb_traffic_list(connection, &s, 1, false);
	measure("an empty call", nothing);
	measure("published: sent, confirmed", publish);
	measure("delivered", deliver);
	measure("delivered, acknowledged", deliver_and_acknowledge);
	measure("dropped for want of a route", drop);
	measure("the time of a query", query);
	return 0;
}
