/*
 * The properties of basic.publish and basic.deliver (AMQP 0-9-1, 1.8.2) as the list of names and values that a
 * kb_message carries.
 *
 * Names: content-type, content-encoding, delivery-mode (1 transient, 2 persistent), priority (0 to 9), correlation-id,
 * reply-to, expiration (ms), message-id, timestamp (Unix seconds), type, user-id, app-id; and for publishing
 * `mandatory` (1: return the message when it reaches no queue). Values are text.
 */
#ifndef KB_AMQP_PROPERTIES_H
#define KB_AMQP_PROPERTIES_H

#include "core/buf.h"

struct amqp_basic_properties_t_; /* librabbitmq's amqp_basic_properties_t: kazoo includes this, too */

/* NULL, or why *name with *value, which point into the list, cannot be. */
const char *kb_amqp_properties_check(struct kb_slice list, struct kb_slice *name, struct kb_slice *value);

/* Fills what the list names, over what is there already; strings point into the list. False: *bad names an unknown
 * property, or one whose value cannot be. */
bool kb_amqp_properties_read(
	struct kb_slice list, struct amqp_basic_properties_t_ *properties, bool *mandatory, struct kb_slice *bad);

/* Appends what is set. */
void kb_amqp_properties_list(const struct amqp_basic_properties_t_ *properties, struct kb_buf *list);

#endif
