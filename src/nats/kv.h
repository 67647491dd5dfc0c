/*
 * The values of key-value buckets of JetStream, by their public conventions (NATS ADR-8): a bucket B is a stream KV_B,
 * whose subjects $KV.B.KEY keep the last value of each key, or the mark of its deletion; the sequence of the stream is
 * the revision of a value.
 *
 * These are subjects, payloads of requests, and the meaning of replies. There is no connection here and no memory of
 * its own.
 */
#ifndef KB_NATS_KV_H
#define KB_NATS_KV_H

#include "core/message.h"

/* NULL when it can be a key, else why not. */
const char *kb_nats_kv_key_fault(struct kb_slice key);

/* -- requests, appended to `out`; bucket and key have no faults (kv_bucket.h) -- */

/* The subject that a value is published to. The reply is read by kb_nats_kv_read_ack(). */
void kb_nats_kv_subject(struct kb_slice bucket, struct kb_slice key, struct kb_buf *out);

/* The subject whose reply describes the stream (kb_nats_kv_read_info()): whether it can be read directly. */
void kb_nats_kv_info_subject(struct kb_slice bucket, struct kb_buf *out);

/* The subject whose reply is the value itself (kb_nats_kv_read_direct()); there are no responders when the stream does
 * not allow it. */
void kb_nats_kv_direct_subject(struct kb_slice bucket, struct kb_slice key, struct kb_buf *out);

/* The subject and the payload of the request whose reply has the value in JSON (kb_nats_kv_read_stored()). */
void kb_nats_kv_stored_subject(struct kb_slice bucket, struct kb_buf *out);
void kb_nats_kv_stored_request(struct kb_slice bucket, struct kb_slice key, struct kb_buf *out);

/* -- replies -- */

enum kb_nats_kv_result {
	KB_NATS_KV_OK,
	KB_NATS_KV_NO_KEY,    /* it does not exist, or is deleted */
	KB_NATS_KV_NO_BUCKET, /* there is no such stream */
	KB_NATS_KV_CONFLICT,  /* the key has another revision than was expected */
	KB_NATS_KV_FAILED     /* `error` says why */
};

struct kb_nats_kv_reply {
	enum kb_nats_kv_result result;
	uint64_t revision;     /* with KB_NATS_KV_OK; with KB_NATS_KV_NO_KEY that of the mark of its deletion, or 0 */
	struct kb_slice value; /* with KB_NATS_KV_OK after reading; never NULL then */
	struct kb_slice error; /* with KB_NATS_KV_FAILED: the server's words, in the payload or in `memory`; may be empty */
};

/* `memory` takes what has to be decoded. Its contents are replaced, and must live as long as the result. */
struct kb_nats_kv_reply kb_nats_kv_read_direct(const struct kb_message *reply);
struct kb_nats_kv_reply kb_nats_kv_read_stored(struct kb_slice payload, struct kb_buf *memory);
struct kb_nats_kv_reply kb_nats_kv_read_info(struct kb_slice payload, struct kb_buf *memory, bool *direct);
struct kb_nats_kv_reply kb_nats_kv_read_ack(struct kb_slice payload, struct kb_buf *memory);

#endif
