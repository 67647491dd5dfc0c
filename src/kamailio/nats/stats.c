#include "kamailio/nats/stats.h"

#include "kamailio/nats/settings.h"

enum { CONNECTIONS_MAX = 1024 };

bool kn_stats_init(void)
{
	return kb_counts_init(KN_STATS, CONNECTIONS_MAX, KN_SUBSCRIPTIONS_MAX);
}

struct kb_connection *kn_stats_connection(const char *name)
{
	return kb_traffic_connection(kb_counts_traffic(), name, NULL, 0);
}

static uint64_t refused(size_t unused)
{
	(void)unused;
	return kb_counts_of_outboxes(offsetof(struct kb_outbox_totals, refused)) +
		   kb_counts_of_processes(KN_REFUSED_INVALID);
}

static uint64_t request_percentile(size_t percent)
{
	return kb_counts_request_percentile(KN_REQUESTS, (unsigned)percent);
}

#define REQUESTS(column) kb_counts_of_processes, KN_REQUESTS + KB_REQUESTS_##column

const struct kb_statistic kn_statistics[] = {
	{"published", "messages that were accepted into the outbox, questions included", KB_OF_OUTBOXES(accepted)},
	{"sent", "messages that went to a server", KB_OF_CONNECTIONS(sent_only)},
	{"refused", "calls that published nothing, for any of the reasons below", refused, 0},
	{"refused_full", "... the outbox of the process was full", kb_counts_refused_full, 0},
	{"refused_too_large", "... the message can never fit into the outbox", KB_OF_OUTBOXES(too_large)},
	{"refused_invalid", "... subject, reply or headers cannot be sent", kb_counts_of_processes, KN_REFUSED_INVALID},
	{"publish_invalid", "accepted messages that the server would not take (max_payload)", KB_OF_CONNECTIONS(invalid)},
	{"publish_expired", "questions that nobody waited for any more when they could be sent",
		KB_OF_CONNECTIONS(expired)},
	{"publish_forbidden", "messages and questions on subjects that the account may not publish to",
		KB_OF_CONNECTIONS(forbidden)},
	{"outbox_messages", "messages in the outbox now", kb_counts_outbox_messages, 0},
	{"outbox_bytes", "bytes of the outbox in use now", KB_OF_OUTBOXES(bytes_used)},
	{"outbox_bytes_high", "the most bytes that the outbox of one process has held", KB_OF_OUTBOXES(bytes_high)},
	{"stored", "messages that a stream has stored", KB_OF_CONNECTIONS(confirmed)},
	{"store_refused", "accepted messages that no stream would ever store", KB_OF_CONNECTIONS(rejected)},
	{"delivered", "messages for subscriptions, answers included", KB_OF_SUBSCRIPTIONS(delivered)},
	{"redelivered", "... of them, those of a stream that had been delivered before", KB_OF_SUBSCRIPTIONS(redelivered)},
	{"acked", "messages of streams that were acknowledged", KB_OF_SUBSCRIPTIONS(acked)},
	{"naked", "... that are to be delivered again (nats_nak)", KB_OF_SUBSCRIPTIONS(requeued)},
	{"terminated", "... that are never to be delivered again (nats_term)", KB_OF_SUBSCRIPTIONS(rejected)},
	{"pending", "messages that waited for durable consumers when they last got one", KB_OF_SUBSCRIPTIONS(pending)},
	{"dropped_no_route", "deliveries for which there is no event route",
		KB_OF_SUBSCRIPTIONS(dropped[KB_DROP_NO_ROUTE])},
	{"requests_answered", "questions that got their answer", REQUESTS(REPLIED)},
	{"requests_timeout", "questions without an answer in time", REQUESTS(TIMEOUT)},
	{"requests_no_responders", "questions on subjects that nobody is subscribed to", REQUESTS(NO_RESPONDERS)},
	{"requests_lost", "questions whose server was lost before the answer came", REQUESTS(LOST)},
	{"requests_too_large", "questions whose answer was longer than there is room for", REQUESTS(TOO_LARGE)},
	{"requests_refused", "questions that were never sent", REQUESTS(REFUSED)},
	{"requests_forbidden", "questions on subjects that the account may not publish to", REQUESTS(FORBIDDEN)},
	{"requests_under_way", "questions that wait for their answer now", kb_counts_requests_in_flight, 0},
	{"request_us_p50", "microseconds that half of all answers took at most", request_percentile, 50},
	{"request_us_p90", "... that nine of ten took at most", request_percentile, 90},
	{"request_us_p99", "... that 99 of 100 took at most", request_percentile, 99},
	{"connections_open", "connections that are open", kb_counts_in_state, KB_CONNECTION_OPEN},
	{"reconnects", "connections that were opened again", kb_counts_reconnects, 0},
	{"discovered_servers", "how often a connection was told of more servers of its cluster",
		KB_OF_CONNECTIONS(discovered)},
	{"lame_duck", "how often the server of a connection was about to close", KB_OF_CONNECTIONS(lame_duck)},
	{"slow_consumer", "how often a server found a connection too slow", KB_OF_CONNECTIONS(slow_consumer)},
	{0, 0, 0, 0},
};

bool kn_stats_register(void)
{
	return kb_statistics_register("nats", kn_statistics);
}
