/* Running event routes and KEMI callbacks for messages from a bus, on a request that does not exist. */
#ifndef KB_KAMAILIO_GLUE_EVENT_ROUTE_H
#define KB_KAMAILIO_GLUE_EVENT_ROUTE_H

#include <core/parser/msg_parser.h>
#include <core/str.h>

#include <stdbool.h>

/* The index of event_route[name], or -1. Its type is that of kb_policy_config.route_index. */
int kb_event_route_index(const char *name, void *context);

/* Runs the route on a fresh faked request; whatever the last route changed in it is gone. */
void kb_event_route_run(int index);

/* Calls the KEMI function `callback` of the configuration script with the event's name. False, with a log line that
 * names both, when there is no such function, or it failed. */
bool kb_event_route_run_callback(const char *callback, const char *event);

/* The route if there is one, else the callback when it is set (NULL or "": not). */
void kb_event_route_run_by_name(const char *callback, const char *event);

/* True when no SIP message stands behind it: it is that of these functions, or of another module's events and timers.
 */
bool kb_event_route_is_faked(struct sip_msg *msg);

#endif
