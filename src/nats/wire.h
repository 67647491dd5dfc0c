/*
 * The NATS client protocol as bytes (docs.nats.io, "Client Protocol", with headers): what the server sends is read in
 * place, what we send is appended to a buffer. There is no connection here and no memory of its own.
 */
#ifndef KB_NATS_WIRE_H
#define KB_NATS_WIRE_H

#include <sys/types.h>
#include "core/message.h"

enum kb_nats_wire_kind { KB_NATS_INFO, KB_NATS_MSG, KB_NATS_PING, KB_NATS_PONG, KB_NATS_OK, KB_NATS_ERR };

/* One operation that the server sends. Slices point into the bytes read. */
struct kb_nats_wire_op {
	enum kb_nats_wire_kind kind;
	struct kb_slice text;           /* INFO: a JSON object; ERR: the text, without quotes */
	struct kb_slice subject, reply; /* MSG from here on; reply may be empty */
	struct kb_slice headers;        /* as sent, see kb_nats_headers_read(); may be empty */
	struct kb_slice payload;
	uint64_t sid;
};

enum {
	KB_NATS_LINE_LONGEST = 1024 * 1024,        /* bytes of a line from the server: INFO names the whole cluster */
	KB_NATS_MESSAGE_LONGEST = 64 * 1024 * 1024 /* bytes of headers and payload: max_payload can be no more */
};

/* Reads one operation from the front of `bytes` and returns how many bytes it took. 0: it is incomplete, and a call
 * with fewer than *need bytes cannot complete it. -1: this is not the protocol, and *fault says why. */
ssize_t kb_nats_wire_read(struct kb_slice bytes, struct kb_nats_wire_op *op, size_t *need, const char **fault);

/* -- what we send; the arguments have no faults (subject.h, headers.h) -- */

/* Publishes key, reply, headers and payload of a message. */
void kb_nats_wire_put_message(struct kb_buf *out, const struct kb_message *m);

/* group: the queue group; empty for none. sid: names the subscription in deliveries. */
void kb_nats_wire_put_subscribe(struct kb_buf *out, struct kb_slice subject, struct kb_slice group, uint64_t sid);
void kb_nats_wire_put_unsubscribe(struct kb_buf *out, uint64_t sid);

#endif
