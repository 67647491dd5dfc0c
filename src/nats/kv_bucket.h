/* Creating a key-value bucket (kv.h). */
#ifndef KB_NATS_KV_BUCKET_H
#define KB_NATS_KV_BUCKET_H

#include "nats/kv.h"

struct kb_nats_kv_bucket {
	struct kb_slice name;
	unsigned history;  /* values kept of each key, 1 to 64 */
	unsigned ttl_s;    /* seconds that a value lives; 0: for ever */
	unsigned replicas; /* servers that keep it, 1 to 5 */
	bool in_memory;    /* else on disk */
};

/* NULL when it can be the name of a bucket, else why not. */
const char *kb_nats_kv_bucket_fault(struct kb_slice bucket);

/* Reads `name[;history=N][;ttl=SECONDS][;replicas=N][;storage=file|memory]`. NULL, or what is wrong with it. The name
 * is part of the text. */
const char *kb_nats_kv_bucket_read(struct kb_slice text, struct kb_nats_kv_bucket *bucket);

/* The subject and the payload of the request, appended to `out`. */
void kb_nats_kv_bucket_create_subject(const struct kb_nats_kv_bucket *bucket, struct kb_buf *out);
void kb_nats_kv_bucket_create_request(const struct kb_nats_kv_bucket *bucket, struct kb_buf *out);

/* Its reply: KB_NATS_KV_OK also when a bucket of that name exists, whatever its configuration. `memory` as in kv.h. */
struct kb_nats_kv_reply kb_nats_kv_bucket_read_created(struct kb_slice payload, struct kb_buf *memory);

#endif
