/* What the nats module counts, and where it is read: statistics (group nats) and the RPC commands nats.*. */
#ifndef KB_KAMAILIO_NATS_STATS_H
#define KB_KAMAILIO_NATS_STATS_H

#include <stdbool.h>

#include "kamailio/report.h"

/* Counted by each process for itself. */
enum kn_stat {
	KN_REFUSED_INVALID, /* nats_publish: a subject that cannot be published to */
	KN_STATS
};

/* In mod_init: makes statistics and RPC commands known. In child_init(PROC_INIT): takes the memory. */
bool kn_stats_register(void);
bool kn_stats_init(void);

/* For kb_broker_config.traffic of a process that is about to connect. */
struct kb_connection *kn_stats_connection(const char *name);

void kn_stats_count(enum kn_stat stat);

extern const struct kb_statistic kn_statistics[];
const struct kb_traffic *kn_stats_traffic(void);

/* nats_rpc.c */
bool kn_rpc_register(void);

#endif
