/*
 * The NATS client protocol as bytes (docs.nats.io, "Client Protocol", with headers): what the server says is read in
 * place, what we say is appended to a buffer. No connection, no memory of its own.
 */
#ifndef KB_NATS_WIRE_H
#define KB_NATS_WIRE_H

#include <sys/types.h>
#include "core/message.h"

enum kb_nats_kind { KB_NATS_INFO, KB_NATS_MSG, KB_NATS_PING, KB_NATS_PONG, KB_NATS_OK, KB_NATS_ERR };

/* One thing that the server says. Slices point into the bytes read. */
struct kb_nats_op {
	enum kb_nats_kind kind;
	struct kb_slice text;           /* INFO: a JSON object; ERR: what, without quotes */
	struct kb_slice subject, reply; /* MSG from here on; reply may be empty */
	struct kb_slice headers;        /* as sent, see kb_nats_headers_read(); may be empty */
	struct kb_slice payload;
	uint64_t sid;
};

enum {
	KB_NATS_LINE_LONGEST = 1024 * 1024,        /* bytes of a line from the server: an INFO names its whole cluster */
	KB_NATS_MESSAGE_LONGEST = 64 * 1024 * 1024 /* bytes of headers and payload: max_payload can be no more */
};

/* Reads one thing from the front of `bytes`: how many bytes it took. 0: not all of it is there, and *need bytes are the
 * least that make sense to try again with. -1: this is not the protocol, and *fault says why. */
ssize_t kb_nats_read(struct kb_slice bytes, struct kb_nats_op *op, size_t *need, const char **fault);

/* Appends what a block of headers holds (kb_headers_next()): the headers themselves, and as properties `status` and
 * `description` of the server's own messages. False: it breaks the protocol, and nothing was appended. */
bool kb_nats_headers_read(struct kb_slice block, struct kb_buf *headers, struct kb_buf *properties);

/* -- what we say: the arguments have no faults (message.h) -- */

/* Publishes key, reply, headers and payload of a message. */
void kb_nats_put_message(struct kb_buf *out, const struct kb_message *m);

/* group: empty for none. */
void kb_nats_put_subscribe(struct kb_buf *out, struct kb_slice subject, struct kb_slice group, uint64_t sid);
void kb_nats_put_unsubscribe(struct kb_buf *out, uint64_t sid);

#endif
