/*
 * Key-value buckets of JetStream, by their public conventions: a bucket B is a stream KV_B, whose subjects $KV.B.KEY
 * keep the last value of each key, or the mark of its deletion; the sequence of the stream is the revision of a value.
 *
 * Only what is said: subjects, questions, and what the answers mean. No connection, no memory of its own.
 */
#ifndef KB_NATS_KV_H
#define KB_NATS_KV_H

#include "core/message.h"

/* NULL when it can be the name of a bucket, or of a key in one; else why not. */
const char *kb_kv_bucket_fault(struct kb_slice bucket);
const char *kb_kv_key_fault(struct kb_slice key);

/* -- questions, appended to `out`; bucket and key have no faults -- */

/* Where a value is published to, and acknowledged (kb_kv_read_ack()). */
void kb_kv_subject(struct kb_slice bucket, struct kb_slice key, struct kb_buf *out);

/* Where the stream is described (kb_kv_read_info()): whether it may be read directly. */
void kb_kv_info_subject(struct kb_slice bucket, struct kb_buf *out);

/* Where the value itself is the answer (kb_kv_read_direct()); nobody answers when the stream does not allow it. */
void kb_kv_direct_subject(struct kb_slice bucket, struct kb_slice key, struct kb_buf *out);

/* Where it comes as JSON (kb_kv_read_stored()), and the question. */
void kb_kv_stored_subject(struct kb_slice bucket, struct kb_buf *out);
void kb_kv_stored_question(struct kb_slice bucket, struct kb_slice key, struct kb_buf *out);

/* -- answers -- */

enum kb_kv_result {
	KB_KV_OK,
	KB_KV_NO_KEY,    /* there is none, or it is deleted */
	KB_KV_NO_BUCKET, /* there is no such stream */
	KB_KV_CONFLICT,  /* the key has another revision than was expected */
	KB_KV_FAILED     /* `error` says why */
};

struct kb_kv_answer {
	enum kb_kv_result result;
	uint64_t revision;     /* of a KB_KV_OK; of a KB_KV_NO_KEY that of the mark of its deletion, or 0 */
	struct kb_slice value; /* of a KB_KV_OK of reading */
	struct kb_slice error; /* the server's words, in the answer or in `memory`; "" when it has none */
};

/* `memory` takes what has to be decoded; its contents are replaced, and must live as long as what they return. */
struct kb_kv_answer kb_kv_read_direct(const struct kb_message *answer);
struct kb_kv_answer kb_kv_read_stored(struct kb_slice payload, struct kb_buf *memory);
struct kb_kv_answer kb_kv_read_info(struct kb_slice payload, struct kb_buf *memory, bool *direct);
struct kb_kv_answer kb_kv_read_ack(struct kb_slice payload, struct kb_buf *memory);

/* -- making a bucket -- */

struct kb_kv_bucket {
	struct kb_slice name;
	unsigned history;  /* values kept of each key, 1 to 64 */
	unsigned ttl_s;    /* seconds that a value lives; 0: for ever */
	unsigned replicas; /* servers that keep it, 1 to 5 */
	bool in_memory;    /* else on disk */
};

/* Reads `name[;history=N][;ttl=SECONDS][;replicas=N][;storage=file|memory]`. NULL, or what is wrong with it. */
const char *kb_kv_bucket_read(struct kb_slice text, struct kb_kv_bucket *bucket);

/* The question, and what the answer means: KB_KV_OK also when there is a bucket of that name already. */
void kb_kv_create_subject(const struct kb_kv_bucket *bucket, struct kb_buf *out);
void kb_kv_create_question(const struct kb_kv_bucket *bucket, struct kb_buf *out);
struct kb_kv_answer kb_kv_read_created(struct kb_slice payload, struct kb_buf *memory);

#endif
