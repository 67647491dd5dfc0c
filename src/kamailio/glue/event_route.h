/* Runs event routes and KEMI callbacks for messages from a broker, on a faked request. */
#ifndef KB_KAMAILIO_GLUE_EVENT_ROUTE_H
#define KB_KAMAILIO_GLUE_EVENT_ROUTE_H

#include <core/parser/msg_parser.h>
#include <core/str.h>

#include <stdbool.h>

/* The index of event_route[name], or -1. Has the type of kb_policy_config.route_index. */
int kb_event_route_index(const char *name, void *context);

/* Runs the route on a fresh faked request: nothing that an earlier route changed in it remains. */
void kb_event_route_run(int index);

/* Calls the KEMI function `callback` of the configuration script with the name of the event. False, with a log line
 * that names both, when the function does not exist or fails. */
bool kb_event_route_run_callback(const char *callback, const char *event);

/* Runs the callback if one is set (not NULL or ""), else event_route[event] if it exists. */
void kb_event_route_run_by_name(const char *callback, const char *event);

/* True when msg is not a SIP message from the network but the faked request of these functions, or one that another
 * module made for its events or timers. */
bool kb_event_route_is_faked(struct sip_msg *msg);

#endif
