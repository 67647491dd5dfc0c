/* What scripts and configurations write about AMQP, checked before it is taken; without a type of librabbitmq. */
#ifndef KB_AMQP_OPTIONS_H
#define KB_AMQP_OPTIONS_H

#include "core/slice.h"

/* A list of properties (properties.h). NULL, or why *name with *value, which point into the list, cannot be. */
const char *kb_amqp_properties_check(struct kb_slice list, struct kb_slice *name, struct kb_slice *value);

/* A list of headers: as many as we read and send, and together less than a frame, which is what AMQP has for them. */
enum { KB_AMQP_HEADERS_MAX = 64, KB_AMQP_HEADER_NAME_MAX = 255, KB_AMQP_HEADERS_BYTES = 124 * 1024 };

/* NULL, or why the list cannot be sent: *name is the header at fault, empty when it is not a single one. */
const char *kb_amqp_headers_check(struct kb_slice list, struct kb_slice *name);

#endif
