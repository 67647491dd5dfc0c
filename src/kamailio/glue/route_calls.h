/* Which functions the routes of kamailio.cfg call. Fix-ups cannot tell: the core calls them at the start for constant
 * parameters only, and for variables and expressions in the process that runs the route, when it does. */
#ifndef KB_KAMAILIO_GLUE_ROUTE_CALLS_H
#define KB_KAMAILIO_GLUE_ROUTE_CALLS_H

#include <stdbool.h>

/* Whether any route calls one of these functions, a list that ends with NULL. From child_init(PROC_INIT) on: the core
 * has fixed the routes then, and rewritten their switches. */
bool kb_route_calls_any(const char *const names[]);

#endif
