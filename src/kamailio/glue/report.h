/* The RPC commands that show what a module does: its statistics, connections, subscriptions and requests. */
#ifndef KB_KAMAILIO_GLUE_REPORT_H
#define KB_KAMAILIO_GLUE_REPORT_H

#include <core/rpc.h>

#include <stddef.h>
#include <stdint.h>

#include "kamailio/glue/statistics.h"

/* Adds one number to a structure. */
void kb_report_number(rpc_t *rpc, void *structure, const char *name, uint64_t value);

/* One structure with a line for each statistic; the list ends with a name of NULL. */
void kb_report_statistics(rpc_t *rpc, void *context, const struct kb_statistic *list);

/* A structure for each connection. */
void kb_report_connections(rpc_t *rpc, void *context);

/* A structure for each subscription. The kind decides the names of its fields and which outcomes its deliveries have.
 */
enum kb_report_kind { KB_REPORT_QUEUES, KB_REPORT_SUBJECTS };
void kb_report_subscriptions(rpc_t *rpc, void *context, enum kb_report_kind kind);

/* A structure with the outcomes of requests, counted from first_column on (enum kb_request_column), and their times.
 * Returns it so that a module can add to it. NULL: it could not be made, and the caller of the command got a fault. */
void *kb_report_requests(rpc_t *rpc, void *context, size_t first_column);

#endif
