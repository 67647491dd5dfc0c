#include "kamailio/nats_stats.h"

#include <core/dprint.h>
#include <core/pt.h>

#include <errno.h>
#include <string.h>

#include "kamailio/nats_module.h"
#include "kamailio/nats_request.h"
#include "kamailio/nats_stream.h"

enum { CONNECTIONS_MAX = 1024, SUBSCRIPTIONS_MAX = KN_SUBSCRIPTIONS_MAX }; /* address space only */

static struct kb_stats *stats;
static struct kb_traffic *traffic;

bool kn_stats_init(void)
{
	stats = kb_stats_create((size_t)get_max_procs(), KN_STATS);
	traffic = kb_traffic_create(CONNECTIONS_MAX, SUBSCRIPTIONS_MAX);
	if (!stats || !traffic)
		LM_ERR("no shared memory for statistics: %s\n", strerror(errno));
	return stats && traffic;
}

struct kb_connection *kn_stats_connection(const char *name)
{
	return kb_traffic_connection(traffic, name, NULL, 0);
}

void kn_stats_count(enum kn_stat stat)
{
	if (stats)
		kb_count(&kb_stats_row(stats, (size_t)process_no)[stat], 1);
}

void kn_stats_request_ended(enum kb_question_column end, uint64_t started_us)
{
	if (stats)
		kb_questions_ended(&kb_stats_row(stats, (size_t)process_no)[KN_REQUESTS], end, started_us);
}

const struct kb_stats *kn_stats(void)
{
	return stats;
}

const struct kb_traffic *kn_stats_traffic(void)
{
	return traffic;
}

/* -- reading -- */

/* What is published, what is asked and what streams are to store have an outbox each. */
static struct kb_outbox_totals totals(void)
{
	struct kb_outbox *outboxes[] = {kn_outbox(), kn_question_outbox(), kn_stream_outbox()};
	struct kb_outbox_totals t = {0};
	for (size_t i = 0; i < sizeof outboxes / sizeof *outboxes; i++) {
		struct kb_outbox_totals one = outboxes[i] ? kb_outbox_totals(outboxes[i]) : (struct kb_outbox_totals){0};
		t.accepted += one.accepted;
		t.refused += one.refused;
		t.too_large += one.too_large;
		t.bytes_used += one.bytes_used;
		t.bytes_high = one.bytes_high > t.bytes_high ? one.bytes_high : t.bytes_high;
	}
	return t;
}

static uint64_t of_outbox(size_t offset)
{
	struct kb_outbox_totals t = totals();
	return *(const uint64_t *)(const void *)((const char *)&t + offset);
}

static uint64_t of_processes(size_t column)
{
	return stats ? kb_stats_sum(stats, column) : 0;
}

static uint64_t refused(size_t unused)
{
	(void)unused;
	return totals().refused + of_processes(KN_REFUSED_INVALID);
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
	return kn_replies() ? kb_replies_under_way(kn_replies()) : 0;
}

static uint64_t request_percentile(size_t percent)
{
	return kb_questions_percentile(stats, KN_REQUESTS, (unsigned)percent);
}

#define OUTBOX(field) of_outbox, offsetof(struct kb_outbox_totals, field)
#define CONNECTIONS(field) of_connections, offsetof(struct kb_connection, field)
#define REQUESTS(column) of_processes, KN_REQUESTS + KB_QUESTIONS_##column
#define SUBSCRIPTIONS(field) of_subscriptions, offsetof(struct kb_subscription_traffic, field)

const struct kb_statistic kn_statistics[] = {
	{"published", "messages that were accepted into the outbox, questions included", OUTBOX(accepted)},
	{"sent", "messages that went to a server", CONNECTIONS(sent_only)},
	{"refused", "calls that published nothing, for any of the reasons below", refused, 0},
	{"refused_full", "... the outbox of the process was full", refused_full, 0},
	{"refused_too_large", "... the message can never fit into the outbox", OUTBOX(too_large)},
	{"refused_invalid", "... subject, reply or headers cannot be sent", of_processes, KN_REFUSED_INVALID},
	{"publish_invalid", "accepted messages that the server would not take (max_payload)", CONNECTIONS(invalid)},
	{"publish_expired", "questions that nobody waited for any more when they could be sent", CONNECTIONS(expired)},
	{"outbox_messages", "messages in the outbox now", outbox_messages, 0},
	{"outbox_bytes", "bytes of the outbox in use now", OUTBOX(bytes_used)},
	{"outbox_bytes_high", "the most bytes that the outbox of one process has held", OUTBOX(bytes_high)},
	{"stored", "messages that a stream has stored", CONNECTIONS(confirmed)},
	{"store_refused", "accepted messages that no stream would ever store", CONNECTIONS(rejected)},
	{"delivered", "messages for subscriptions, answers included", SUBSCRIPTIONS(delivered)},
	{"redelivered", "... of them, those of a stream that had been delivered before", SUBSCRIPTIONS(redelivered)},
	{"acked", "messages of streams that were acknowledged", SUBSCRIPTIONS(acked)},
	{"naked", "... that are to be delivered again (nats_nak)", SUBSCRIPTIONS(requeued)},
	{"terminated", "... that are never to be delivered again (nats_term)", SUBSCRIPTIONS(rejected)},
	{"pending", "messages that waited for durable consumers when they last got one", SUBSCRIPTIONS(pending)},
	{"dropped_no_route", "deliveries for which there is no event route", SUBSCRIPTIONS(dropped[KB_DROP_NO_ROUTE])},
	{"requests_answered", "questions that got their answer", REQUESTS(ANSWERED)},
	{"requests_timeout", "questions without an answer in time", REQUESTS(TIMEOUT)},
	{"requests_no_responders", "questions on subjects that nobody is subscribed to", REQUESTS(NO_RESPONDERS)},
	{"requests_lost", "questions whose server was lost before the answer came", REQUESTS(LOST)},
	{"requests_refused", "questions that were never sent", REQUESTS(REFUSED)},
	{"requests_under_way", "questions that wait for their answer now", under_way, 0},
	{"request_us_p50", "microseconds that half of all answers took at most", request_percentile, 50},
	{"request_us_p90", "... that nine of ten took at most", request_percentile, 90},
	{"request_us_p99", "... that 99 of 100 took at most", request_percentile, 99},
	{"connections_open", "connections that are open", in_state, KB_CONNECTION_OPEN},
	{"reconnects", "connections that were opened again", reconnects, 0},
	{"discovered_servers", "how often a connection was told of more servers of its cluster", CONNECTIONS(discovered)},
	{"lame_duck", "how often the server of a connection was about to close", CONNECTIONS(lame_duck)},
	{"slow_consumer", "how often a server found a connection too slow", CONNECTIONS(slow_consumer)},
	{0, 0, 0, 0},
};

bool kn_stats_register(void)
{
	return kb_statistics_register("nats", kn_statistics) && kn_rpc_register();
}
