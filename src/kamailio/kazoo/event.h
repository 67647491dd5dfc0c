/* Event routes for what the module receives and raises, in the worker processes. */
#ifndef KB_KAMAILIO_KAZOO_EVENT_H
#define KB_KAMAILIO_KAZOO_EVENT_H

#include <stdbool.h>

#include "core/buf.h"

/* In mod_init: a policy that does not load stops the start, with a log line. */
bool kz_event_check_policy(void);

/* Tells whether the policy file loads now; if not, writes the reason to `why`. */
bool kz_event_policy_loads(struct kb_buf *why);

/* In child_init(PROC_MAIN), after kz_mod_init_run(): forks the workers. False and a log line. */
bool kz_event_fork(void);

#endif
