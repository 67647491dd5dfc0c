#include "kamailio/glue/counts.h"

#include <core/dprint.h>
#include <core/pt.h>

#include <errno.h>
#include <string.h>

#include "core/clock.h"
#include "core/histogram.h"

static struct kb_stats *stats;
static struct kb_traffic *traffic;
static const struct kb_replies *replies;
static struct kb_outbox *outboxes[KB_COUNTS_OUTBOXES];
static size_t n_outboxes;

bool kb_counts_init(size_t columns, size_t connections_max, size_t subscriptions_max)
{
	stats = kb_stats_create((size_t)get_max_procs(), columns);
	traffic = kb_traffic_create(connections_max, subscriptions_max);
	if (!stats || !traffic)
		LM_ERR("cannot allocate shared memory for statistics: %s\n", strerror(errno));
	return stats && traffic;
}

void kb_counts_add_outbox(struct kb_outbox *outbox)
{
	if (outbox && n_outboxes < KB_COUNTS_OUTBOXES)
		outboxes[n_outboxes++] = outbox;
}

void kb_counts_set_replies(const struct kb_replies *all)
{
	replies = all;
}

struct kb_traffic *kb_counts_traffic(void)
{
	return traffic;
}

static kb_counter *own_columns(void)
{
	return kb_stats_row(stats, (size_t)process_no);
}

void kb_counts_add(size_t column)
{
	if (stats)
		kb_counter_add(&own_columns()[column], 1);
}

/* -- requests -- */

void kb_counts_request_ended(size_t first_column, enum kb_request_column end, int64_t started_us)
{
	kb_counts_add(first_column + end);
	if (stats && end == KB_REQUESTS_REPLIED)
		kb_histogram_note(&own_columns()[first_column + KB_REQUESTS_TIME], (uint64_t)(kb_clock_us() - started_us));
}

bool kb_counts_request_times(size_t first_column, struct kb_histogram *times)
{
	if (stats)
		kb_histogram_read(stats, first_column + KB_REQUESTS_TIME, times);
	return stats != NULL;
}

uint64_t kb_counts_request_percentile(size_t first_column, unsigned percent)
{
	struct kb_histogram times;
	return kb_counts_request_times(first_column, &times) ? kb_histogram_percentile(&times, percent) : 0;
}

/* -- readers -- */

uint64_t kb_counts_of_processes(size_t column)
{
	return stats ? kb_stats_sum(stats, column) : 0;
}

static struct kb_outbox_totals totals(void)
{
	struct kb_outbox_totals t = {0};
	for (size_t i = 0; i < n_outboxes; i++) {
		struct kb_outbox_totals one = kb_outbox_totals(outboxes[i]);
		t.accepted += one.accepted;
		t.refused += one.refused;
		t.too_large += one.too_large;
		t.bytes_used += one.bytes_used;
		t.bytes_high = one.bytes_high > t.bytes_high ? one.bytes_high : t.bytes_high;
	}
	return t;
}

uint64_t kb_counts_of_outboxes(size_t offset)
{
	struct kb_outbox_totals t = totals();
	return *(const uint64_t *)(const void *)((const char *)&t + offset);
}

uint64_t kb_counts_refused_full(size_t unused)
{
	(void)unused;
	struct kb_outbox_totals t = totals();
	return t.refused - t.too_large;
}

uint64_t kb_counts_outbox_messages(size_t unused)
{
	(void)unused;
	uint64_t done = kb_traffic_done(traffic); /* first: it never passes what is accepted */
	uint64_t accepted = totals().accepted;
	return accepted > done ? accepted - done : 0;
}

uint64_t kb_counts_of_connections(size_t offset)
{
	return kb_traffic_sum(traffic, offset);
}

uint64_t kb_counts_of_subscriptions(size_t offset)
{
	return kb_traffic_subscription_sum(traffic, offset);
}

uint64_t kb_counts_in_state(size_t connection_state)
{
	return kb_traffic_in_state(traffic, (enum kb_connection_state)connection_state);
}

uint64_t kb_counts_reconnects_of(const struct kb_connection *c)
{
	uint64_t opened = kb_counter_get(&c->opened);
	return opened ? opened - 1 : 0;
}

uint64_t kb_counts_reconnects(size_t unused)
{
	(void)unused;
	uint64_t sum = 0;
	for (size_t i = 0; i < kb_traffic_connections(traffic); i++)
		sum += kb_counts_reconnects_of(kb_traffic_at(traffic, i));
	return sum;
}

uint64_t kb_counts_requests_in_flight(size_t unused)
{
	(void)unused;
	return replies ? kb_replies_in_flight(replies) : 0;
}
