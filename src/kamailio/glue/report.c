#include "kamailio/glue/report.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "core/histogram.h"
#include "core/line.h"
#include "kamailio/glue/counts.h"

/* RPC numbers have 32 bits; larger ones are sent as text. */
void kb_report_number(rpc_t *rpc, void *structure, const char *name, uint64_t value)
{
	if (value <= INT_MAX)
		rpc->struct_add(structure, "d", (char *)(uintptr_t)name, (int)value);
	else
		rpc->struct_printf(structure, (char *)(uintptr_t)name, "%llu", (unsigned long long)value);
}

static void add_line(rpc_t *rpc, void *structure, const char *name, const struct kb_line *line)
{
	char text[KB_LINE_BYTES];
	kb_line_get(line, text);
	rpc->struct_add(structure, "s", (char *)(uintptr_t)name, text);
}

/* Only when the connection belongs to a zone. */
static void add_zone(rpc_t *rpc, void *structure, const struct kb_connection *c)
{
	char zone[KB_LINE_BYTES];
	kb_line_get(&c->zone, zone);
	if (zone[0])
		rpc->struct_add(structure, "s", "zone", zone);
}

static void *add_structure(rpc_t *rpc, void *context)
{
	void *structure;
	if (rpc->add(context, "{", &structure) == 0)
		return structure;
	rpc->fault(context, 500, "out of memory");
	return NULL;
}

void kb_report_statistics(rpc_t *rpc, void *context, const struct kb_statistic *list)
{
	void *structure = add_structure(rpc, context);
	for (const struct kb_statistic *s = list; structure && s->name; s++)
		kb_report_number(rpc, structure, s->name, s->read(s->argument));
}

/* -- connections -- */

static const char *state_name(uint64_t state)
{
	static const char *const names[] = {"closed", "connecting", "open", "blocked"};
	return state < sizeof names / sizeof *names ? names[state] : "?";
}

static void add_since(rpc_t *rpc, void *structure, uint64_t since_s)
{
	char text[32];
	struct tm parts;
	time_t since = (time_t)since_s;
	gmtime_r(&since, &parts);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
	rpc->struct_add(structure, "s", "since", text);
}

static void add_connection(rpc_t *rpc, void *structure, const struct kb_connection *c)
{
	uint64_t state = kb_counter_get(&c->state);
	add_line(rpc, structure, "name", &c->name);
	add_zone(rpc, structure, c);
	add_line(rpc, structure, "address", &c->address);
	rpc->struct_add(structure, "s", "state", (char *)(uintptr_t)state_name(state));
	add_since(rpc, structure, kb_counter_get(&c->since_s));
	kb_report_number(rpc, structure, "reconnects", kb_counts_reconnects_of(c));
	kb_report_number(rpc, structure, "failed_attempts", kb_counter_get(&c->failed));
	add_line(rpc, structure, "last_error", &c->error);
	kb_report_number(rpc, structure, "messages_in", kb_counter_get(&c->messages_in));
	kb_report_number(rpc, structure, "bytes_in", kb_counter_get(&c->bytes_in));
	kb_report_number(rpc, structure, "messages_out", kb_counter_get(&c->messages_out));
	kb_report_number(rpc, structure, "bytes_out", kb_counter_get(&c->bytes_out));
}

void kb_report_connections(rpc_t *rpc, void *context)
{
	const struct kb_traffic *traffic = kb_counts_traffic();
	for (size_t i = 0; i < kb_traffic_connections(traffic); i++) {
		void *structure = add_structure(rpc, context);
		if (!structure)
			return;
		add_connection(rpc, structure, kb_traffic_at(traffic, i));
	}
}

/* -- subscriptions -- */

static void add_names(rpc_t *rpc, void *structure, const struct kb_subscription_traffic *s, enum kb_report_kind kind)
{
	add_line(rpc, structure, kind == KB_REPORT_QUEUES ? "exchange" : "stream", &s->exchange);
	add_line(rpc, structure, kind == KB_REPORT_QUEUES ? "routing" : "subject", &s->routing);
	add_line(rpc, structure, kind == KB_REPORT_QUEUES ? "queue" : "group", &s->queue);
}

static void add_state(
	rpc_t *rpc, void *structure, const struct kb_connection *c, const struct kb_subscription_traffic *s)
{
	bool active = kb_counter_get(&s->state) == KB_SUBSCRIPTION_ACTIVE;
	add_zone(rpc, structure, c);
	add_line(rpc, structure, "address", &c->address);
	rpc->struct_add(structure, "s", "state", active ? "active" : "retrying");
	add_line(rpc, structure, "reason", &s->reason);
}

static void add_queue_outcomes(rpc_t *rpc, void *structure, const struct kb_subscription_traffic *s)
{
	kb_report_number(rpc, structure, "redelivered", kb_counter_get(&s->redelivered));
	kb_report_number(rpc, structure, "acked", kb_counter_get(&s->acked));
	kb_report_number(rpc, structure, "rejected", kb_counter_get(&s->rejected));
	kb_report_number(rpc, structure, "requeued", kb_counter_get(&s->requeued));
	kb_report_number(rpc, structure, "dropped_too_large", kb_counter_get(&s->dropped[KB_DROP_TOO_LARGE]));
	kb_report_number(rpc, structure, "dropped_unreadable", kb_counter_get(&s->dropped[KB_DROP_UNREADABLE]));
}

static void add_stream_outcomes(rpc_t *rpc, void *structure, const struct kb_subscription_traffic *s)
{
	kb_report_number(rpc, structure, "redelivered", kb_counter_get(&s->redelivered));
	kb_report_number(rpc, structure, "acked", kb_counter_get(&s->acked));
	kb_report_number(rpc, structure, "terminated", kb_counter_get(&s->rejected));
	kb_report_number(rpc, structure, "naked", kb_counter_get(&s->requeued));
	kb_report_number(rpc, structure, "pending", kb_counter_get(&s->pending));
}

static void add_subscription(rpc_t *rpc, void *context, const struct kb_connection *c,
	const struct kb_subscription_traffic *s, enum kb_report_kind kind)
{
	void *structure = add_structure(rpc, context);
	if (!structure)
		return;
	add_names(rpc, structure, s, kind);
	add_state(rpc, structure, c, s);
	kb_report_number(rpc, structure, "delivered", kb_counter_get(&s->delivered));
	(kind == KB_REPORT_QUEUES ? add_queue_outcomes : add_stream_outcomes)(rpc, structure, s);
	kb_report_number(rpc, structure, "dropped_no_route", kb_counter_get(&s->dropped[KB_DROP_NO_ROUTE]));
}

void kb_report_subscriptions(rpc_t *rpc, void *context, enum kb_report_kind kind)
{
	const struct kb_traffic *traffic = kb_counts_traffic();
	for (size_t i = 0; i < kb_traffic_connections(traffic); i++) {
		const struct kb_connection *c = kb_traffic_at(traffic, i);
		size_t n = atomic_load_explicit(&c->subscribed, memory_order_acquire);
		for (size_t s = 0; s < n; s++)
			if (kb_counter_get(&c->first_subscription[s].state) != KB_SUBSCRIPTION_UNUSED)
				add_subscription(rpc, context, c, &c->first_subscription[s], kind);
	}
}

/* -- requests -- */

/* Each bucket that is not empty, named after the response time in microseconds that its values are below. */
static void add_buckets(rpc_t *rpc, void *structure, const struct kb_histogram *h)
{
	void *buckets;
	char name[32];
	if (rpc->struct_add(structure, "{", "answered_below_us", &buckets) < 0)
		return;
	for (size_t i = 0; i < KB_HISTOGRAM_BUCKETS; i++) {
		if (!h->buckets[i])
			continue;
		snprintf(name, sizeof name, "%llu", (unsigned long long)kb_histogram_least(i + 1));
		kb_report_number(rpc, buckets, name, h->buckets[i]);
	}
}

static void add_times(rpc_t *rpc, void *structure, const struct kb_histogram *h)
{
	kb_report_number(rpc, structure, "mean_us", h->count ? h->sum_us / h->count : 0);
	kb_report_number(rpc, structure, "p50_us", kb_histogram_percentile(h, 50));
	kb_report_number(rpc, structure, "p90_us", kb_histogram_percentile(h, 90));
	kb_report_number(rpc, structure, "p99_us", kb_histogram_percentile(h, 99));
	add_buckets(rpc, structure, h);
}

void *kb_report_requests(rpc_t *rpc, void *context, size_t first_column)
{
	struct kb_histogram times;
	bool ready = kb_counts_request_times(first_column, &times);
	void *structure = ready ? add_structure(rpc, context) : NULL;
	if (!ready)
		rpc->fault(context, 500, "not ready");
	if (!structure)
		return NULL;
	kb_report_number(rpc, structure, "under_way", kb_counts_requests_in_flight(0));
	kb_report_number(rpc, structure, "answered", kb_counts_of_processes(first_column + KB_REQUESTS_REPLIED));
	kb_report_number(rpc, structure, "timeout", kb_counts_of_processes(first_column + KB_REQUESTS_TIMEOUT));
	kb_report_number(rpc, structure, "lost", kb_counts_of_processes(first_column + KB_REQUESTS_LOST));
	kb_report_number(rpc, structure, "too_large", kb_counts_of_processes(first_column + KB_REQUESTS_TOO_LARGE));
	kb_report_number(rpc, structure, "refused", kb_counts_of_processes(first_column + KB_REQUESTS_REFUSED));
	add_times(rpc, structure, &times);
	return structure;
}
