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
	{"published", "messages that were accepted into the outbox, questions included", KB_OF_OUTBOXES(accepted)},
	{"confirmed", "messages that the broker has confirmed", KB_OF_CONNECTIONS(confirmed)},
	{"sent_unconfirmed", "questions that were sent: they ask for an answer and not for a confirm",
		KB_OF_CONNECTIONS(sent_only)},
	{"returned", "messages that the broker gave back because no queue is bound for them", KB_OF_CONNECTIONS(returned)},
	{"refused", "calls that published nothing, for any of the reasons below", refused, 0},
	{"refused_full", "... the outbox of the process was full", kb_counts_refused_full, 0},
	{"refused_too_large", "... the message can never fit into the outbox", KB_OF_OUTBOXES(too_large)},
	{"refused_invalid", "... payload, headers or names cannot be sent", kb_counts_of_processes, KZ_REFUSED_INVALID},
	{"publish_rejected", "accepted messages that the broker refused for good", KB_OF_CONNECTIONS(rejected)},
	{"publish_invalid", "accepted messages that AMQP has no room for", KB_OF_CONNECTIONS(invalid)},
	{"publish_expired", "questions that nobody waited for any more when they could be sent",
		KB_OF_CONNECTIONS(expired)},
	{"outbox_messages", "messages in the outbox now", kb_counts_outbox_messages, 0},
	{"outbox_bytes", "bytes of the outbox in use now", KB_OF_OUTBOXES(bytes_used)},
	{"outbox_bytes_high", "the most bytes that the outbox of one process has held", KB_OF_OUTBOXES(bytes_high)},
	{"delivered", "messages from the broker for subscriptions", KB_OF_SUBSCRIPTIONS(delivered)},
	{"redelivered", "... those that the broker had delivered before", KB_OF_SUBSCRIPTIONS(redelivered)},
	{"acked", "deliveries acknowledged to the broker", KB_OF_SUBSCRIPTIONS(acked)},
	{"rejected", "deliveries rejected for good", KB_OF_SUBSCRIPTIONS(rejected)},
	{"requeued", "deliveries given back to be delivered again", KB_OF_SUBSCRIPTIONS(requeued)},
	{"dropped_too_large", "deliveries larger than the inbox takes", KB_OF_SUBSCRIPTIONS(dropped[KB_DROP_TOO_LARGE])},
	{"dropped_unreadable", "deliveries that are no JSON object", KB_OF_SUBSCRIPTIONS(dropped[KB_DROP_UNREADABLE])},
	{"dropped_no_route", "deliveries for which there is no event route",
		KB_OF_SUBSCRIPTIONS(dropped[KB_DROP_NO_ROUTE])},
	{"queries_answered", "questions that got their answer", kb_counts_of_processes, KZ_QUERIES_REPLIED},
	{"queries_timeout", "questions without an answer in time", kb_counts_of_processes, KZ_QUERIES_TIMEOUT},
	{"queries_lost", "questions whose broker was lost before the answer came", kb_counts_of_processes, KZ_QUERIES_LOST},
	{"queries_unroutable", "questions that reached no queue, or whose exchange takes none", kb_counts_of_processes,
		KZ_QUERIES_UNROUTABLE},
	{"queries_too_large", "questions whose answer was longer than there is room for", kb_counts_of_processes,
		KZ_QUERIES_TOO_LARGE},
	{"queries_unreadable", "questions whose answer was no JSON object", kb_counts_of_processes, KZ_QUERIES_UNREADABLE},
	{"queries_refused", "questions that were never sent", kb_counts_of_processes, KZ_QUERIES_REFUSED},
	{"queries_under_way", "questions that wait for their answer now", kb_counts_requests_in_flight, 0},
	{"answers_unmatched", "answers that no question waited for: late, repeated or unknown",
		KB_OF_CONNECTIONS(unmatched)},
	{"query_us_p50", "microseconds that half of all answers took at most", query_percentile, 50},
	{"query_us_p90", "... that nine of ten took at most", query_percentile, 90},
	{"query_us_p99", "... that 99 of 100 took at most", query_percentile, 99},
	{"connections_open", "connections that are open", kb_counts_in_state, KB_CONNECTION_OPEN},
	{"connections_blocked", "connections whose broker accepts no messages for now", kb_counts_in_state,
		KB_CONNECTION_BLOCKED},
	{"reconnects", "connections that were opened again", kb_counts_reconnects, 0},
	{0, 0, 0, 0},
};

bool kz_stats_register(void)
{
	return kb_statistics_register("kazoo", kz_statistics);
}
