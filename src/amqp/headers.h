/* The headers of a message as the list that a kb_message carries (core/message.h), and as a table of AMQP. */
#ifndef KB_AMQP_HEADERS_H
#define KB_AMQP_HEADERS_H

#include "core/buf.h"

struct amqp_table_t_; /* librabbitmq's amqp_table_t and amqp_table_entry_t: kazoo includes this, too */
struct amqp_table_entry_t_;

/* As many as we read and send, and together less than a frame, which is what AMQP has for them. */
enum { KB_AMQP_HEADERS_MAX = 64, KB_AMQP_HEADERS_NAME_MAX = 255, KB_AMQP_HEADERS_BYTES = 124 * 1024 };

/* NULL, or why the list cannot be sent: *name is the header at fault, empty when it is not a single one. */
const char *kb_amqp_headers_check(struct kb_slice list, struct kb_slice *name);

/* Makes a table of a list, in KB_AMQP_HEADERS_MAX entries; it points into the list. False when there are too many or a
 * name is too long. */
bool kb_amqp_headers_read(struct kb_slice list, struct amqp_table_entry_t_ *entries, struct amqp_table_t_ *table);

/* Appends a table to a list, as text; nested tables and arrays are left out. */
void kb_amqp_headers_list(const struct amqp_table_t_ *table, struct kb_buf *list);

#endif
