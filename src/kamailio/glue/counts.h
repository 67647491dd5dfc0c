/* What a module counts, in memory that all its processes share, and the readers that its table of statistics consists
 * of. Each module has its own counts. Before kb_counts_init() everything reads as 0 and nothing is counted. */
#ifndef KB_KAMAILIO_GLUE_COUNTS_H
#define KB_KAMAILIO_GLUE_COUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/traffic.h"
#include "core/histogram.h"
#include "core/outbox.h"
#include "core/replies.h"

/* In child_init(PROC_INIT): creates the memory, with this number of columns for each process. The other two numbers
 * limit how many connections and subscriptions are told apart; they cost address space only. False and a log line on
 * failure. */
bool kb_counts_init(size_t columns, size_t connections_max, size_t subscriptions_max);

/* Before the fork, by their creators. They are borrowed until the server ends. NULL is allowed. */
enum { KB_COUNTS_OUTBOXES = 4 /* a module has fewer */ };
void kb_counts_add_outbox(struct kb_outbox *outbox);
void kb_counts_set_replies(const struct kb_replies *replies);

/* NULL before kb_counts_init(). */
struct kb_traffic *kb_counts_traffic(void);

/* Adds one to a column of this process. */
void kb_counts_add(size_t column);

/* -- requests: consecutive columns -- */

enum kb_request_column {
	KB_REQUESTS_REPLIED,
	KB_REQUESTS_TIMEOUT,       /* no reply before the deadline */
	KB_REQUESTS_LOST,          /* the connection was lost before the reply came */
	KB_REQUESTS_REFUSED,       /* never sent */
	KB_REQUESTS_NO_RESPONDERS, /* the server reported at once that nobody is subscribed; NATS only */
	KB_REQUESTS_TOO_LARGE,     /* the reply does not fit into its slot */
	KB_REQUESTS_UNREADABLE,    /* the reply is not JSON; AMQP only */
	KB_REQUESTS_UNROUTABLE,    /* the request reached no queue; AMQP only */
	KB_REQUESTS_FORBIDDEN,     /* the account may not publish to its subject; NATS only */
	KB_REQUESTS_TIME,          /* a histogram of response times */
	KB_REQUESTS_COLUMNS = KB_REQUESTS_TIME + KB_HISTOGRAM_COLUMNS
};

/* Counts how one request ended. For KB_REQUESTS_REPLIED it also notes the time since started_us (kb_clock_us()). */
void kb_counts_request_ended(size_t first_column, enum kb_request_column end, int64_t started_us);

/* Reads the histogram of response times. False before kb_counts_init(). */
bool kb_counts_request_times(size_t first_column, struct kb_histogram *times);

/* The response time in microseconds that `percent` of 100 replies did not exceed; 0 before kb_counts_init(). */
uint64_t kb_counts_request_percentile(size_t first_column, unsigned percent);

/* -- readers, for kb_statistic.read; the macros below say what argument they take -- */

uint64_t kb_counts_of_processes(size_t column);
uint64_t kb_counts_of_outboxes(size_t offset);
uint64_t kb_counts_of_connections(size_t offset);
uint64_t kb_counts_of_subscriptions(size_t offset);
uint64_t kb_counts_in_state(size_t connection_state);
uint64_t kb_counts_outbox_messages(size_t unused); /* accepted and not yet settled */
uint64_t kb_counts_refused_full(size_t unused);
uint64_t kb_counts_reconnects(size_t unused);
uint64_t kb_counts_requests_in_flight(size_t unused); /* in all processes */

#define KB_OF_OUTBOXES(field) kb_counts_of_outboxes, offsetof(struct kb_outbox_totals, field)
#define KB_OF_CONNECTIONS(field) kb_counts_of_connections, offsetof(struct kb_connection, field)
#define KB_OF_SUBSCRIPTIONS(field) kb_counts_of_subscriptions, offsetof(struct kb_subscription_traffic, field)

/* How often a connection was opened again. */
uint64_t kb_counts_reconnects_of(const struct kb_connection *c);

#endif
