/* Received payloads as scripts see them. */
#ifndef KB_KAMAILIO_KAZOO_RECEPTION_H
#define KB_KAMAILIO_KAZOO_RECEPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "core/json.h"

/* Writes the payload into *out with the fields that say where and when it was received: AMQP-Broker-Zone,
 * AMQP-Received and the prefix of Server-ID. False, with *error set, when it is not a JSON object. */
bool kz_reception_payload(size_t zone, struct kb_slice payload, struct kb_buf *out, struct kb_json_error *error);

#endif
