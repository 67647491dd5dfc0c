/* Runs event routes for deliveries and for changes of connections, in the processes that subscribe. */
#ifndef KB_KAMAILIO_NATS_EVENT_H
#define KB_KAMAILIO_NATS_EVENT_H

#include <stdbool.h>

#include "core/buf.h"

/* In mod_init: loads the policy once, so that a policy that does not load stops the start. Warns of subscriptions
 * without an event route and of a policy that is never used. */
bool kn_event_check_policy(void);

/* Tells whether the policy file loads now; if not, writes the reason to `why`. */
bool kn_event_policy_loads(struct kb_buf *why);
bool kn_event_fork(void);

/* Callbacks for the loops of src/bus; context is not used. */
void kn_event_connection(void *context, bool open, const char *address);
void kn_event_notice(void *context, const char *name);

/* True when no process subscribes and there may be a route for one of these events. Then the publishers run it: they
 * start with kn_event_begin() and tick with kn_event_tick(NULL). */
bool kn_event_is_for_publishers(void);
bool kn_event_begin(void); /* false and a log line when the policy does not load */
void kn_event_tick(void *listener);

#endif
