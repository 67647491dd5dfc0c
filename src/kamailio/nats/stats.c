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
	{"published", "messages accepted into the outbox, including requests", KB_OF_OUTBOXES(accepted)},
	{"sent", "messages sent to a server", KB_OF_CONNECTIONS(sent_only)},
	{"refused", "calls that published nothing, for any of the reasons below", refused, 0},
	{"refused_full", "... the outbox of the process was full", kb_counts_refused_full, 0},
	{"refused_too_large", "... the message can never fit into the outbox", KB_OF_OUTBOXES(too_large)},
	{"refused_invalid", "... subject, reply or headers cannot be sent", kb_counts_of_processes, KN_REFUSED_INVALID},
	{"publish_invalid", "accepted messages that the server does not accept (max_payload)", KB_OF_CONNECTIONS(invalid)},
	{"publish_expired", "requests whose deadline passed before they could be sent", KB_OF_CONNECTIONS(expired)},
	{"publish_forbidden", "messages and requests on subjects that the account may not publish to",
		KB_OF_CONNECTIONS(forbidden)},
	{"outbox_messages", "messages in the outbox now", kb_counts_outbox_messages, 0},
	{"outbox_bytes", "bytes of the outbox in use now", KB_OF_OUTBOXES(bytes_used)},
	{"outbox_bytes_high", "most bytes that the outbox of one process has held", KB_OF_OUTBOXES(bytes_high)},
	{"stored", "messages stored by a stream", KB_OF_CONNECTIONS(confirmed)},
	{"store_refused", "accepted messages that no stream will store", KB_OF_CONNECTIONS(rejected)},
	{"delivered", "messages delivered to subscriptions, including replies", KB_OF_SUBSCRIPTIONS(delivered)},
	{"redelivered", "... of them, those of a stream that had been delivered before", KB_OF_SUBSCRIPTIONS(redelivered)},
	{"acked", "messages of streams acknowledged", KB_OF_SUBSCRIPTIONS(acked)},
	{"naked", "... that are to be delivered again (nats_nak)", KB_OF_SUBSCRIPTIONS(requeued)},
	{"terminated", "... that are never to be delivered again (nats_term)", KB_OF_SUBSCRIPTIONS(rejected)},
	{"pending", "messages waiting for durable consumers at their last delivery", KB_OF_SUBSCRIPTIONS(pending)},
	{"dropped_no_route", "deliveries without an event route", KB_OF_SUBSCRIPTIONS(dropped[KB_DROP_NO_ROUTE])},
	{"requests_answered", "requests that received their reply", REQUESTS(REPLIED)},
	{"requests_timeout", "requests that timed out", REQUESTS(TIMEOUT)},
	{"requests_no_responders", "requests on subjects without a subscriber", REQUESTS(NO_RESPONDERS)},
	{"requests_lost", "requests whose connection was lost before the reply arrived", REQUESTS(LOST)},
	{"requests_too_large", "requests whose reply was too large", REQUESTS(TOO_LARGE)},
	{"requests_refused", "requests refused before they were sent", REQUESTS(REFUSED)},
	{"requests_forbidden", "requests on subjects that the account may not publish to", REQUESTS(FORBIDDEN)},
	{"requests_under_way", "requests in flight now", kb_counts_requests_in_flight, 0},
	{"request_us_p50", "response time in microseconds, 50th percentile", request_percentile, 50},
	{"request_us_p90", "... 90th percentile", request_percentile, 90},
	{"request_us_p99", "... 99th percentile", request_percentile, 99},
	{"connections_open", "connections that are open", kb_counts_in_state, KB_CONNECTION_OPEN},
	{"reconnects", "connections that were opened again", kb_counts_reconnects, 0},
	{"discovered_servers", "number of times that a server announced more servers of its cluster",
		KB_OF_CONNECTIONS(discovered)},
	{"lame_duck", "number of times that the server of a connection began to shut down", KB_OF_CONNECTIONS(lame_duck)},
	{"slow_consumer", "number of times that a server reported a connection as too slow",
		KB_OF_CONNECTIONS(slow_consumer)},
	{0, 0, 0, 0},
};

bool kn_stats_register(void)
{
	return kb_statistics_register("nats", kn_statistics);
}
