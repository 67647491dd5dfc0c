#include "kamailio/kazoo/stats.h"

#include "kamailio/kazoo/zones.h"

enum { CONNECTIONS_MAX = 256, SUBSCRIPTIONS_MAX = 8192 };

bool kz_stats_init(void)
{
	return kb_counts_init(KZ_STATS, CONNECTIONS_MAX, SUBSCRIPTIONS_MAX);
}

struct kb_connection *kz_stats_connection(const char *name, size_t zone)
{
	return kb_traffic_connection(kb_counts_traffic(), name, kz_zone(zone)->name, (uint32_t)zone);
}

static uint64_t refused(size_t unused)
{
	(void)unused;
	return kb_counts_of_outboxes(offsetof(struct kb_outbox_totals, refused)) +
		   kb_counts_of_processes(KZ_REFUSED_INVALID);
}

static uint64_t query_percentile(size_t percent)
{
	return kb_counts_request_percentile(KZ_QUERIES, (unsigned)percent);
}

const struct kb_statistic kz_statistics[] = {
	{"published", "messages accepted into the outbox, including requests", KB_OF_OUTBOXES(accepted)},
	{"confirmed", "messages confirmed by the broker", KB_OF_CONNECTIONS(confirmed)},
	{"sent_unconfirmed", "requests sent: they want a reply instead of a confirm", KB_OF_CONNECTIONS(sent_only)},
	{"returned", "messages returned by the broker because no queue is bound for them", KB_OF_CONNECTIONS(returned)},
	{"refused", "calls that published nothing, for any of the reasons below", refused, 0},
	{"refused_full", "... the outbox of the process was full", kb_counts_refused_full, 0},
	{"refused_too_large", "... the message can never fit into the outbox", KB_OF_OUTBOXES(too_large)},
	{"refused_invalid", "... payload, headers or names cannot be sent", kb_counts_of_processes, KZ_REFUSED_INVALID},
	{"publish_rejected", "accepted messages that the broker rejected for good", KB_OF_CONNECTIONS(rejected)},
	{"publish_invalid", "accepted messages too long for AMQP", KB_OF_CONNECTIONS(invalid)},
	{"publish_expired", "requests whose deadline passed before they could be sent", KB_OF_CONNECTIONS(expired)},
	{"outbox_messages", "messages in the outbox now", kb_counts_outbox_messages, 0},
	{"outbox_bytes", "bytes of the outbox in use now", KB_OF_OUTBOXES(bytes_used)},
	{"outbox_bytes_high", "most bytes that the outbox of one process has held", KB_OF_OUTBOXES(bytes_high)},
	{"delivered", "messages delivered by the broker to subscriptions", KB_OF_SUBSCRIPTIONS(delivered)},
	{"redelivered", "... of them, those that the broker had delivered before", KB_OF_SUBSCRIPTIONS(redelivered)},
	{"acked", "deliveries acknowledged to the broker", KB_OF_SUBSCRIPTIONS(acked)},
	{"rejected", "deliveries rejected for good", KB_OF_SUBSCRIPTIONS(rejected)},
	{"requeued", "deliveries requeued to be delivered again", KB_OF_SUBSCRIPTIONS(requeued)},
	{"dropped_too_large", "deliveries discarded because they are larger than the inbox allows",
		KB_OF_SUBSCRIPTIONS(dropped[KB_DROP_TOO_LARGE])},
	{"dropped_unreadable", "deliveries discarded because they are not a JSON object",
		KB_OF_SUBSCRIPTIONS(dropped[KB_DROP_UNREADABLE])},
	{"dropped_no_route", "deliveries without an event route", KB_OF_SUBSCRIPTIONS(dropped[KB_DROP_NO_ROUTE])},
	{"queries_answered", "requests that received their reply", kb_counts_of_processes, KZ_QUERIES_REPLIED},
	{"queries_timeout", "requests that timed out", kb_counts_of_processes, KZ_QUERIES_TIMEOUT},
	{"queries_lost", "requests whose connection was lost before the reply arrived", kb_counts_of_processes,
		KZ_QUERIES_LOST},
	{"queries_unroutable", "requests that no queue is bound for, or whose exchange the broker rejects",
		kb_counts_of_processes, KZ_QUERIES_UNROUTABLE},
	{"queries_too_large", "requests whose reply was too large", kb_counts_of_processes, KZ_QUERIES_TOO_LARGE},
	{"queries_unreadable", "requests whose reply was not a JSON object", kb_counts_of_processes, KZ_QUERIES_UNREADABLE},
	{"queries_refused", "requests refused before they were sent", kb_counts_of_processes, KZ_QUERIES_REFUSED},
	{"queries_under_way", "requests in flight now", kb_counts_requests_in_flight, 0},
	{"replies_unmatched", "replies discarded because no request waited for them", KB_OF_CONNECTIONS(unmatched)},
	{"query_us_p50", "response time in microseconds, 50th percentile", query_percentile, 50},
	{"query_us_p90", "... 90th percentile", query_percentile, 90},
	{"query_us_p99", "... 99th percentile", query_percentile, 99},
	{"connections_open", "connections that are open", kb_counts_in_state, KB_CONNECTION_OPEN},
	{"connections_blocked", "connections whose broker blocks publishing now", kb_counts_in_state,
		KB_CONNECTION_BLOCKED},
	{"reconnects", "connections that were opened again", kb_counts_reconnects, 0},
	{0, 0, 0, 0},
};

bool kz_stats_register(void)
{
	return kb_statistics_register("kazoo", kz_statistics);
}
