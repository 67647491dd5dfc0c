/* What the nats module counts, and where it is read: statistics (group nats) and the RPC commands nats.*. */
#ifndef KB_KAMAILIO_NATS_STATS_H
#define KB_KAMAILIO_NATS_STATS_H

#include <stdbool.h>

#include "kamailio/glue/counts.h"
#include "kamailio/glue/statistics.h"

/* Columns: counted by each process for itself. */
enum kn_stat {
	KN_REFUSED_INVALID, /* subjects or headers that cannot be sent */
	KN_REQUESTS,        /* enum kb_request_column */
	KN_STATS = KN_REQUESTS + KB_REQUESTS_COLUMNS
};

/* In mod_init: makes statistics and RPC commands known. In child_init(PROC_INIT): takes the memory. */
bool kn_stats_register(void);
bool kn_stats_init(void);

/* For kb_broker_config.traffic of a process that is about to connect. */
struct kb_connection *kn_stats_connection(const char *name);

extern const struct kb_statistic kn_statistics[];

#endif
