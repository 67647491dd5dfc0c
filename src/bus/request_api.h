/* Requests over a connection. They are published (publish_api.h) as messages with KB_EXPIRES, and their replies are
 * delivered (consume_api.h); here the broker says that no reply can come. */
#ifndef KB_BUS_REQUEST_API_H
#define KB_BUS_REQUEST_API_H

#include "core/slice.h"

/* See kb_broker_events. All may be NULL. */
struct kb_request_events {
	/* The request with this correlation-id reached no queue; or, with an empty one, all requests that went to this
	 * exchange, to which the broker lets us publish none: that is already logged. */
	void (*unroutable)(void *context, struct kb_slice exchange, struct kb_slice correlation_id);

	/* The broker lets us publish nothing to this subject, in its words `reason`; already logged. Nothing that was sent
	 * there arrives. */
	void (*forbidden)(void *context, struct kb_slice subject, const char *reason);
};

#endif
