/* What scripts and configurations write about AMQP, checked before it is taken; without a type of librabbitmq. */
#ifndef KB_BROKER_AMQP_OPTIONS_H
#define KB_BROKER_AMQP_OPTIONS_H

#include "broker/broker.h"

/* A list of properties (amqp_properties.h). NULL, or why *name with *value, which point into the list, cannot be. */
const char *kb_amqp_properties_check(struct kb_slice list, struct kb_slice *name, struct kb_slice *value);

#endif
