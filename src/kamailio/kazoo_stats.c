#include "kamailio/kazoo_stats.h"

#include <core/dprint.h>
#include <core/pt.h>

#include <errno.h>
#include <string.h>

#include "kamailio/kazoo.h"
#include "kamailio/kazoo_query.h"
#include "kamailio/report.h"

enum { CONNECTIONS_MAX = 256, SUBSCRIPTIONS_MAX = 8192 }; /* address space only */

static struct kb_stats *stats;
static struct kb_traffic *traffic;

bool kz_stats_init(void)
{
	stats = kb_stats_create((size_t)get_max_procs(), KZ_STATS);
	traffic = kb_traffic_create(CONNECTIONS_MAX, SUBSCRIPTIONS_MAX);
	if (!stats || !traffic)
		LM_ERR("no shared memory for statistics: %s\n", strerror(errno));
	return stats && traffic;
}

/* -- counting -- */

struct kb_connection *kz_stats_connection(const char *name, size_t zone)
{
	return kb_traffic_connection(traffic, name, kz_zone(zone)->name, (uint32_t)zone);
}

void kz_stats_dropped(const struct kb_origin *origin, enum kb_drop reason)
{
	kb_traffic_dropped(traffic, origin, reason);
}

void kz_stats_count(enum kz_stat stat)
{
	if (stats)
		kb_count(&kb_stats_row(stats, (size_t)process_no)[stat], 1);
}

void kz_stats_query_ended(enum kb_question_column end, uint64_t started_us)
{
	kb_questions_ended(&kb_stats_row(stats, (size_t)process_no)[KZ_QUERIES], end, started_us);
}

/* -- reading -- */

const struct kb_traffic *kz_stats_traffic(void)
{
	return traffic;
}

const struct kb_stats *kz_stats(void)
{
	return stats;
}

static uint64_t of_processes(size_t column)
{
	return stats ? kb_stats_sum(stats, column) : 0;
}

static struct kb_outbox_totals totals(void)
{
	return kz_outbox() ? kb_outbox_totals(kz_outbox()) : (struct kb_outbox_totals){0};
}

static uint64_t of_outbox(size_t offset)
{
	struct kb_outbox_totals t = totals();
	return *(const uint64_t *)(const void *)((const char *)&t + offset);
}

static uint64_t refused(size_t unused)
{
	(void)unused;
	return totals().refused + of_processes(KZ_REFUSED_INVALID);
}

static uint64_t refused_full(size_t unused)
{
	(void)unused;
	struct kb_outbox_totals t = totals();
	return t.refused - t.too_large;
}

static uint64_t outbox_messages(size_t unused)
{
	(void)unused;
	return kb_outbox_messages(totals, traffic);
}

static uint64_t of_connections(size_t offset)
{
	return kb_traffic_sum(traffic, offset);
}

static uint64_t of_subscriptions(size_t offset)
{
	return kb_traffic_subscription_sum(traffic, offset);
}

static uint64_t in_state(size_t state)
{
	return kb_traffic_in_state(traffic, (enum kb_connection_state)state);
}

static uint64_t reconnects(size_t unused)
{
	(void)unused;
	return kb_reconnects(traffic);
}

static uint64_t under_way(size_t unused)
{
	(void)unused;
	return kz_replies() ? kb_replies_under_way(kz_replies()) : 0;
}

static uint64_t query_percentile(size_t percent)
{
	return kb_questions_percentile(stats, KZ_QUERIES, (unsigned)percent);
}

#define OUTBOX(field) of_outbox, offsetof(struct kb_outbox_totals, field)
#define CONNECTIONS(field) of_connections, offsetof(struct kb_connection, field)
#define SUBSCRIPTIONS(field) of_subscriptions, offsetof(struct kb_subscription_traffic, field)

const struct kb_statistic kz_statistics[] = {
	{"published", "messages that were accepted into the outbox, questions included", OUTBOX(accepted)},
	{"confirmed", "messages that the broker has confirmed", CONNECTIONS(confirmed)},
	{"sent_unconfirmed", "questions that were sent: they ask for an answer and not for a confirm",
		CONNECTIONS(sent_only)},
	{"returned", "messages that the broker gave back because no queue is bound for them", CONNECTIONS(returned)},
	{"refused", "calls that published nothing, for any of the reasons below", refused, 0},
	{"refused_full", "... the outbox of the process was full", refused_full, 0},
	{"refused_too_large", "... the message can never fit into the outbox", OUTBOX(too_large)},
	{"refused_invalid", "... payload, headers or names cannot be sent", of_processes, KZ_REFUSED_INVALID},
	{"publish_rejected", "accepted messages that the broker refused for good", CONNECTIONS(rejected)},
	{"publish_invalid", "accepted messages that AMQP has no room for", CONNECTIONS(invalid)},
	{"publish_expired", "questions that nobody waited for any more when they could be sent", CONNECTIONS(expired)},
	{"outbox_messages", "messages in the outbox now", outbox_messages, 0},
	{"outbox_bytes", "bytes of the outbox in use now", OUTBOX(bytes_used)},
	{"outbox_bytes_high", "the most bytes that the outbox of one process has held", OUTBOX(bytes_high)},
	{"delivered", "messages from the broker for subscriptions", SUBSCRIPTIONS(delivered)},
	{"redelivered", "... those that the broker had delivered before", SUBSCRIPTIONS(redelivered)},
	{"acked", "deliveries acknowledged to the broker", SUBSCRIPTIONS(acked)},
	{"rejected", "deliveries rejected for good", SUBSCRIPTIONS(rejected)},
	{"requeued", "deliveries given back to be delivered again", SUBSCRIPTIONS(requeued)},
	{"dropped_too_large", "deliveries larger than the inbox takes", SUBSCRIPTIONS(dropped[KB_DROP_TOO_LARGE])},
	{"dropped_unreadable", "deliveries that are no JSON object", SUBSCRIPTIONS(dropped[KB_DROP_UNREADABLE])},
	{"dropped_no_route", "deliveries for which there is no event route", SUBSCRIPTIONS(dropped[KB_DROP_NO_ROUTE])},
	{"queries_answered", "questions that got their answer", of_processes, KZ_QUERIES_ANSWERED},
	{"queries_timeout", "questions without an answer in time", of_processes, KZ_QUERIES_TIMEOUT},
	{"queries_lost", "questions whose broker was lost before the answer came", of_processes, KZ_QUERIES_LOST},
	{"queries_unreadable", "questions whose answer was no JSON object", of_processes, KZ_QUERIES_UNREADABLE},
	{"queries_refused", "questions that were never sent", of_processes, KZ_QUERIES_REFUSED},
	{"queries_under_way", "questions that wait for their answer now", under_way, 0},
	{"query_us_p50", "microseconds that half of all answers took at most", query_percentile, 50},
	{"query_us_p90", "... that nine of ten took at most", query_percentile, 90},
	{"query_us_p99", "... that 99 of 100 took at most", query_percentile, 99},
	{"connections_open", "connections that are open", in_state, KB_CONNECTION_OPEN},
	{"connections_blocked", "connections whose broker accepts no messages for now", in_state, KB_CONNECTION_BLOCKED},
	{"reconnects", "connections that were opened again", reconnects, 0},
	{0, 0, 0, 0},
};

bool kz_stats_register(void)
{
	return kb_statistics_register("kazoo", kz_statistics) && kz_rpc_register();
}
