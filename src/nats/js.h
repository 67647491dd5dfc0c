/*
 * The JetStream API as messages (docs.nats.io, "JetStream wire API Reference"): requests written, replies read. There
 * is no connection here and no state.
 */
#ifndef KB_NATS_JS_H
#define KB_NATS_JS_H

#include "core/message.h"

/* What became of a request, or of a message for a stream. */
struct kb_nats_js_reply {
	bool good;
	bool foreign;   /* it is not from a stream: somebody else listens on the subject */
	bool lasting;   /* of one that is not good: trying again cannot help */
	unsigned error; /* JetStream's own code for it (err_code); 0: none */
	char what[200]; /* why it is not good; NUL-terminated */
};

/* A reply of the JetStream API. */
struct kb_nats_js_reply kb_nats_js_reply_read(struct kb_slice payload, struct kb_slice properties);

/* A stream's acknowledgement of a message. It must name the stream, since anybody can reply to the subject with some
 * JSON object. */
struct kb_nats_js_reply kb_nats_js_stored_read(struct kb_slice payload, struct kb_slice properties);

/* -- requests: each appends one whole message, whose reply goes to `inbox` -- */

/* Sends `payload` to `subject`, both built in buffers, and frees these. Memory that ran out in one of them fails `out`.
 */
void kb_nats_js_put_request(struct kb_buf *out, struct kb_buf *subject, struct kb_slice inbox, struct kb_buf *payload);

/* Asks which streams take a subject. */
void kb_nats_js_put_streams_request(struct kb_buf *out, struct kb_slice subject, struct kb_slice inbox);

/* True when the reply to that names none. */
bool kb_nats_js_no_stream(struct kb_slice payload, struct kb_slice properties);

#endif
