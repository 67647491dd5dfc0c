/* What the kazoo module counts: the source of its statistics (group kazoo) and RPC commands. */
#ifndef KB_KAMAILIO_KAZOO_STATS_H
#define KB_KAMAILIO_KAZOO_STATS_H

#include <stdbool.h>

#include "kamailio/glue/counts.h"
#include "kamailio/glue/statistics.h"

/* Columns, in which each process counts for itself. */
enum kz_stat {
	KZ_REFUSED_INVALID, /* kazoo_publish and similar: payload, headers or names that cannot be sent */
	KZ_QUERIES,         /* enum kb_request_column */
	KZ_QUERIES_REPLIED = KZ_QUERIES + KB_REQUESTS_REPLIED,
	KZ_QUERIES_TIMEOUT = KZ_QUERIES + KB_REQUESTS_TIMEOUT,
	KZ_QUERIES_LOST = KZ_QUERIES + KB_REQUESTS_LOST,
	KZ_QUERIES_REFUSED = KZ_QUERIES + KB_REQUESTS_REFUSED,
	KZ_QUERIES_TOO_LARGE = KZ_QUERIES + KB_REQUESTS_TOO_LARGE,
	KZ_QUERIES_UNREADABLE = KZ_QUERIES + KB_REQUESTS_UNREADABLE,
	KZ_QUERIES_UNROUTABLE = KZ_QUERIES + KB_REQUESTS_UNROUTABLE,
	KZ_STATS = KZ_QUERIES + KB_REQUESTS_COLUMNS
};

/* In mod_init: registers the statistics. In child_init(PROC_INIT): creates the memory. False and a log line. */
bool kz_stats_register(void);
bool kz_stats_init(void);

/* For kb_broker_config.traffic of a process that is about to connect. */
struct kb_connection *kz_stats_connection(const char *name, size_t zone);

/* The statistics, which kazoo.stats shows too. */
extern const struct kb_statistic kz_statistics[];

#endif
