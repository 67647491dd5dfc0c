/* What both modules show of themselves: statistics of the core, and RPC answers. */
#ifndef KB_KAMAILIO_REPORT_H
#define KB_KAMAILIO_REPORT_H

#include <core/rpc.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/traffic.h"
#include "core/outbox.h"
#include "core/replies.h"
#include "core/stats.h"

/* One number, as a statistic of the core and as a line of the RPC command MODULE.stats. */
struct kb_statistic {
	const char *name, *what;
	uint64_t (*read)(size_t argument);
	size_t argument;
};

/* In mod_init, with a list that ends with a name of NULL. False and a log line on failure. */
bool kb_statistics_register(const char *group, const struct kb_statistic *list);

/* -- RPC answers; list is as above -- */

void kb_rpc_number(rpc_t *rpc, void *structure, const char *name, uint64_t value);
void kb_rpc_statistics(rpc_t *rpc, void *context, const struct kb_statistic *list);
void kb_rpc_connections(rpc_t *rpc, void *context, const struct kb_traffic *traffic);

/* What a subscription is called, and which outcomes its deliveries can have. */
enum kb_report_kind { KB_REPORT_QUEUES, KB_REPORT_SUBJECTS };
void kb_rpc_subscriptions(rpc_t *rpc, void *context, const struct kb_traffic *traffic, enum kb_report_kind kind);

/* -- questions: neighbouring columns of a module's statistics, counted by each process for itself -- */

enum kb_question_column {
	KB_QUESTIONS_ANSWERED,
	KB_QUESTIONS_TIMEOUT,       /* no answer in time */
	KB_QUESTIONS_LOST,          /* the broker was lost before the answer came */
	KB_QUESTIONS_REFUSED,       /* never sent */
	KB_QUESTIONS_NO_RESPONDERS, /* the broker said at once that nobody would answer; NATS alone */
	KB_QUESTIONS_UNREADABLE,    /* the answer was no JSON; AMQP alone */
	KB_QUESTIONS_TIME,          /* a histogram of the answers' times */
	KB_QUESTIONS_COLUMNS = KB_QUESTIONS_TIME + KB_HISTOGRAM_COLUMNS
};

/* The moment at which a question begins. */
uint64_t kb_questions_now_us(void);

/* Counts one end; `columns` are those of this process. An answer has taken the time since started_us. */
void kb_questions_ended(kb_counter *columns, enum kb_question_column end, uint64_t started_us);

/* stats may be NULL: 0. */
uint64_t kb_questions_percentile(const struct kb_stats *stats, size_t first_column, unsigned percent);

/* RPC: the structure of the answer, for what a module adds to it; NULL: it could not be made, and the fault is told. */
void *kb_rpc_questions(
	rpc_t *rpc, void *context, const struct kb_stats *stats, size_t first_column, const struct kb_replies *replies);

/* -- what statistics are made of -- */

/* Messages that are in a module's outboxes: accepted and not settled. */
uint64_t kb_outbox_messages(struct kb_outbox_totals (*totals)(void), const struct kb_traffic *traffic);

/* Connections that were opened again. */
uint64_t kb_reconnects(const struct kb_traffic *traffic);

#endif
