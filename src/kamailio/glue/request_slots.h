/* The slots in which requests in flight wait for their replies, as many as a parameter allows. */
#ifndef KB_KAMAILIO_GLUE_REQUEST_SLOTS_H
#define KB_KAMAILIO_GLUE_REQUEST_SLOTS_H

#include "core/replies.h"

/* The default of that parameter. Address space is reserved for each request, and memory taken only for those in flight.
 */
enum { KB_REQUESTS_DEFAULT = 65536 };

/* Slots for replies of at most `bytes`: one for each process of the server, and *most for kb_reply_claim(), in `shares`
 * shares. When *most is KB_REQUESTS_DEFAULT and there is not that much address space, *most becomes what there is. Call
 * in child_init(PROC_INIT). NULL and a log line that names the parameter. */
struct kb_replies *kb_request_slots_create(const char *parameter, size_t *most, size_t shares, size_t bytes);

#endif
