/*
 * The header block of a message (NATS ADR-4): the line NATS/1.0, which may go on with a status, then one line for each
 * header, then an empty line. Lists of headers are those of kb_headers_next().
 */
#ifndef KB_NATS_HEADERS_H
#define KB_NATS_HEADERS_H

#include "core/message.h"

/* Appends what a block holds: the headers themselves, and as properties `status` and `description` of a status message
 * of the server. An empty block holds nothing. False: it breaks the protocol, and nothing was appended. */
bool kb_nats_headers_read(struct kb_slice block, struct kb_buf *headers, struct kb_buf *properties);

/* The status in the properties of a message; 0: it has none. */
int kb_nats_headers_status(struct kb_slice properties);
enum { KB_NATS_NO_RESPONDERS = 503 /* nobody is subscribed to the subject of the request */ };

/* NULL when the headers can be sent, else why not. *size: the bytes of their block, 0 without headers. */
const char *kb_nats_headers_fault(struct kb_slice headers, size_t *size);

/* Appends the block of headers without faults. */
void kb_nats_headers_put(struct kb_buf *out, struct kb_slice headers);

/* Visible ASCII without a colon, and not empty. */
bool kb_nats_headers_is_name(struct kb_slice name);

#endif
