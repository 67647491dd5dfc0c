/* The parameter nats_js_consumer. */
#ifndef KB_KAMAILIO_NATS_CONSUMER_H
#define KB_KAMAILIO_NATS_CONSUMER_H

#include <stdbool.h>

#include "bus/subscription.h"

/* Reads a value of nats_js_consumer into *durable, and the name of its events into *event. Strings are never freed.
 * False and a log line. */
bool kn_consumer_read(const char *value, struct kb_durable *durable, const char **event);

#endif
