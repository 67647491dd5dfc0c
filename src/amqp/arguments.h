/* The `arguments` of declarations (x-queue-type, x-message-ttl, ...): a JSON object as an AMQP table. */
#ifndef KB_AMQP_ARGUMENTS_H
#define KB_AMQP_ARGUMENTS_H

#include <amqp.h>
#include "core/slice.h"

struct kb_amqp_arguments {
	amqp_pool_t pool; /* owns what the table points to */
	amqp_table_t table;
};

/* Integers become 64 bit, objects nested tables. json may be NULL: no arguments. False when it holds anything but
 * integers, booleans, strings and objects, or memory is out; kb_amqp_arguments_free() is due either way. */
bool kb_amqp_arguments_read(const char *json, struct kb_amqp_arguments *a);
void kb_amqp_arguments_free(struct kb_amqp_arguments *a);

#endif
