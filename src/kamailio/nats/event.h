/* Events: deliveries and what happens to connections, in the processes that subscribe. */
#ifndef KB_KAMAILIO_NATS_EVENT_H
#define KB_KAMAILIO_NATS_EVENT_H

#include <stdbool.h>

#include "core/buf.h"

/* In mod_init: loads the Lua policy once, so that a bad one stops the start, and warns of messages and policies for
 * which nothing can be done. */
bool kn_event_check_policy(void);

/* Whether the policy can be loaded as it is now, and why not. */
bool kn_event_policy_loads(struct kb_buf *why);
bool kn_event_fork(void);

/* The events of a connection, as the loops of src/broker call them; context is not used. */
void kn_event_connection(void *context, bool open, const char *address);
void kn_event_notice(void *context, const char *name);

/* True when no process subscribes to anything and there may be a route for one of these events: then publishers run it,
 * which begin with kn_event_begin() and tick with kn_event_tick(NULL). */
bool kn_event_is_for_publishers(void);
bool kn_event_begin(void); /* false and a log line: the policy does not load */
void kn_event_tick(void *listener);

#endif
