/* The rings in shared memory that carry messages from the processes with a connection to a broker to the workers. */
#ifndef KB_KAMAILIO_KAZOO_INBOXES_H
#define KB_KAMAILIO_KAZOO_INBOXES_H

#include <stdbool.h>
#include <stddef.h>

#include "core/inbox.h"

/* The process that fills an inbox. Each zone has a consumer and a publisher; only the primary zone has a requester. */
enum kz_source { KZ_FROM_CONSUMER, KZ_FROM_PUBLISHER, KZ_FROM_REQUESTER };

/* In mod_init, after kz_zones_check(): the shared memory. False and a log line. */
bool kz_inboxes_init(void);

struct kb_inbox *kz_inboxes_get(enum kz_source source, size_t zone);

/* The next message for a worker, taken from each inbox in turn so that no zone starves another. *from is the inbox to
 * settle it in. NULL when there is none now. */
struct kb_record *kz_inboxes_next(size_t worker, struct kb_inbox **from, struct kb_message *m);

/* Waits until there is a message for this worker, or timeout_ms have passed. */
void kz_inboxes_wait(size_t worker, int timeout_ms);

#endif
