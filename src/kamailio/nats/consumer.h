/* The parameter nats_js_consumer. */
#ifndef KB_KAMAILIO_NATS_CONSUMER_H
#define KB_KAMAILIO_NATS_CONSUMER_H

#include <stdbool.h>

#include "bus/subscription.h"

/* Reads a nats_js_consumer, and what its events are named after. False and a log line. */
bool kn_consumer_read(const char *value, struct kb_durable *durable, const char **event);

#endif
