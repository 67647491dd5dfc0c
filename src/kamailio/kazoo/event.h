/* Event routes for what the module receives and raises, in the worker processes. */
#ifndef KB_KAMAILIO_KAZOO_EVENT_H
#define KB_KAMAILIO_KAZOO_EVENT_H

#include <stdbool.h>

#include "core/buf.h"

/* In mod_init: a policy that does not load stops the start, with a log line. */
bool kz_event_check_policy(void);

/* Whether the policy can be loaded as it is now, and why not. */
bool kz_event_policy_loads(struct kb_buf *why);

/* Forks the workers; in child_init(PROC_MAIN), after kz_mod_init_run(). */
bool kz_event_fork(void);

#endif
