/* What the nats module counts: the source of its statistics (group nats) and RPC commands. */
#ifndef KB_KAMAILIO_NATS_STATS_H
#define KB_KAMAILIO_NATS_STATS_H

#include <stdbool.h>

#include "kamailio/glue/counts.h"
#include "kamailio/glue/statistics.h"

/* Columns, in which each process counts for itself. */
enum kn_stat {
	KN_REFUSED_INVALID, /* subjects or headers that cannot be sent */
	KN_REQUESTS,        /* enum kb_request_column */
	KN_STATS = KN_REQUESTS + KB_REQUESTS_COLUMNS
};

/* In mod_init: registers the statistics. In child_init(PROC_INIT): creates the memory. False and a log line. */
bool kn_stats_register(void);
bool kn_stats_init(void);

/* For kb_broker_config.traffic of a process that is about to connect. */
struct kb_connection *kn_stats_connection(const char *name);

extern const struct kb_statistic kn_statistics[];

#endif
