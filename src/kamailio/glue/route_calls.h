/* Finds out which functions the routes of kamailio.cfg call. Fix-ups cannot tell: at the start the core calls them for
 * constant parameters only. For variables and expressions it calls them in the process that runs the route, when it
 * runs it. */
#ifndef KB_KAMAILIO_GLUE_ROUTE_CALLS_H
#define KB_KAMAILIO_GLUE_ROUTE_CALLS_H

#include <stdbool.h>

/* True when any route calls one of these functions, a list that ends with NULL. Valid from child_init(PROC_INIT) on: by
 * then the core has fixed the routes up and rewritten their switches. */
bool kb_route_calls_any(const char *const names[]);

#endif
