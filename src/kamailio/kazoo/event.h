/* Deliveries: from the inboxes to event routes, in the worker processes. */
#ifndef KB_KAMAILIO_KAZOO_EVENT_H
#define KB_KAMAILIO_KAZOO_EVENT_H

#include <stdbool.h>

#include "core/inbox.h"
#include "core/json.h"

/* A payload as routes see it, with the fields of the reception. */
bool kz_reception_payload(size_t zone, struct kb_slice payload, struct kb_buf *out, struct kb_json_error *error);

/* In mod_init: what is wrong with the policy stops the start, with a log line. */
bool kz_event_check_policy(void);

/* Whether the policy can be loaded as it is now, and why not. */
bool kz_event_policy_loads(struct kb_buf *why);

/* In mod_init: shared memory for the workers. */
bool kz_event_init(void);

/* What each process with a connection to a zone hands to the workers; questions are for the primary one alone. */
enum kz_source { KZ_FROM_CONSUMER, KZ_FROM_PUBLISHER, KZ_FROM_REQUESTER };
struct kb_inbox *kz_inboxes_get(enum kz_source source, size_t zone);

/* Forks the workers; in child_init(PROC_MAIN), after mod-init ran. */
bool kz_event_fork(void);

#endif
