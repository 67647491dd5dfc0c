/*
 * JetStream as messages (docs.nats.io, "JetStream wire API"): requests written, answers read. No connection and no
 * state.
 */
#ifndef KB_NATS_JS_H
#define KB_NATS_JS_H

#include "bus/subscription.h"
#include "core/ring.h"
#include "nats/wire.h"

/* 0 when the text is no number of at most 18 digits. */
uint64_t kb_nats_number(struct kb_slice text);

/* The status of one of the server's own messages, 0: it has none; and a header of it. */
int kb_nats_status(struct kb_slice properties);
enum { KB_NATS_NO_RESPONDERS = 503 };

/* What became of a request or a message for a stream. */
struct kb_nats_answer {
	bool good;
	bool foreign;   /* somebody who is no stream has answered, too */
	bool lasting;   /* of what is not good: trying again cannot help */
	unsigned error; /* JetStream's own code of it (err_code); 0: none */
	char what[200]; /* why it is not good; NUL-terminated */
};

/* An answer of the JetStream API; and a stream's acknowledgement of a message, which names the stream: anybody may
 * answer on a subject with an object. */
struct kb_nats_answer kb_nats_answer_read(struct kb_slice payload, struct kb_slice properties);
struct kb_nats_answer kb_nats_stored_answer_read(struct kb_slice payload, struct kb_slice properties);

/* True when the answer to kb_nats_put_streams_query() names no stream. */
bool kb_nats_no_stream(struct kb_slice payload, struct kb_slice properties);

/* Where a message of a consumer comes from, read from the subject that it is to be acknowledged at. */
struct kb_nats_stored {
	struct kb_slice stream, consumer;
	uint64_t delivered; /* how often, this time included */
	uint64_t sequence;  /* in the stream */
	uint64_t pending;   /* how many wait behind it */
};
bool kb_nats_stored_read(struct kb_slice ack_subject, struct kb_nats_stored *stored);

/* A subject for answers that is of one connection alone: PREFIX.RANDOM; NULL: "_INBOX". */
enum { KB_NATS_INBOX_BYTES = 256 };
void kb_nats_inbox(const char *prefix, char to[KB_NATS_INBOX_BYTES]);

/* -- requests: each appends one whole message that asks for its answer at `inbox` -- */

/* Makes the consumer, or changes one whose configuration is `config`, as far as the fields of `durable` say. Empty:
 * there is none. */
void kb_nats_put_durable(
	struct kb_buf *out, const struct kb_durable *durable, struct kb_slice config, struct kb_slice inbox);

/* Asks what the consumer is like. */
void kb_nats_put_durable_query(struct kb_buf *out, const struct kb_durable *durable, struct kb_slice inbox);
enum { KB_NATS_NO_CONSUMER = 10014 /* kb_nats_answer.error when there is none yet */ };

/* True when a consumer of this configuration, a JSON object, is not what it is to be. */
bool kb_nats_durable_differs(const struct kb_durable *durable, struct kb_slice config);

/* Asks for `batch` messages within expires_ms, with a sign of life in between. */
void kb_nats_put_pull(struct kb_buf *out, const struct kb_durable *durable, struct kb_slice inbox, unsigned batch,
	int expires_ms, int heartbeat_ms);

/* Asks which streams take a subject. */
void kb_nats_put_streams_query(struct kb_buf *out, struct kb_slice subject, struct kb_slice inbox);

/* -- acknowledgements -- */

/* delay_ms: of KB_REQUEUE, before the message is delivered again; 0: at once. */
void kb_nats_put_verdict(struct kb_buf *out, struct kb_slice ack_subject, enum kb_outcome outcome, unsigned delay_ms);

/* The message is still being worked on: its time for the acknowledgement starts anew. */
void kb_nats_put_progress(struct kb_buf *out, struct kb_slice ack_subject);

#endif
