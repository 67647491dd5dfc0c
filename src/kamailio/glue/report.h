/* What both modules show of themselves: statistics of the core, and RPC answers. */
#ifndef KB_KAMAILIO_GLUE_REPORT_H
#define KB_KAMAILIO_GLUE_REPORT_H

#include <core/rpc.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One number, as a statistic of the core and as a line of the RPC command MODULE.stats. */
struct kb_statistic {
	const char *name, *what;
	uint64_t (*read)(size_t argument);
	size_t argument;
};

/* In mod_init, with a list that ends with a name of NULL. False and a log line on failure. */
bool kb_statistics_register(const char *group, const struct kb_statistic *list);

/* -- RPC answers; list is as above -- */

void kb_report_number(rpc_t *rpc, void *structure, const char *name, uint64_t value);
void kb_report_statistics(rpc_t *rpc, void *context, const struct kb_statistic *list);
void kb_report_connections(rpc_t *rpc, void *context);

/* What a subscription is called, and which outcomes its deliveries can have. */
enum kb_report_kind { KB_REPORT_QUEUES, KB_REPORT_SUBJECTS };
void kb_report_subscriptions(rpc_t *rpc, void *context, enum kb_report_kind kind);

/* The structure of the answer, for what a module adds to it; NULL: it could not be made, and the fault is told. */
void *kb_report_requests(rpc_t *rpc, void *context, size_t first_column);

#endif
