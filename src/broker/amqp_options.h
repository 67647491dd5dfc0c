/* What scripts and configurations write about AMQP, checked before it is taken; without a type of librabbitmq. */
#ifndef KB_BROKER_AMQP_OPTIONS_H
#define KB_BROKER_AMQP_OPTIONS_H

#include "broker/broker.h"

/* A list of properties (amqp_properties.h). NULL, or why *name with *value, which point into the list, cannot be. */
const char *kb_amqp_properties_check(struct kb_slice list, struct kb_slice *name, struct kb_slice *value);

/* NULL, or which file of the configuration cannot be used for TLS, and why; valid until the next call. */
const char *kb_amqp_tls_check(const struct kb_broker_tls *config);

#endif
