/* Entries of key-value buckets. Each function sends requests to JetStream and waits, and returns what the script's
 * function returns; every failure has a log line that begins with its name, except those that a script must expect: no
 * such key, a conflict. */
#ifndef KB_KAMAILIO_NATS_KV_ENTRY_H
#define KB_KAMAILIO_NATS_KV_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

/* What the functions return besides enum kn_outcome. */
enum { KN_NO_KEY = -4, KN_CONFLICT = -5 };

/* Bucket and key may be any text, and lie in an earlier reply. */
struct kn_kv_entry {
	const char *function;
	struct kb_slice bucket, key;
};

#define KN_ANY_REVISION UINT64_MAX

int kn_kv_entry_get(struct kn_kv_entry *e);

/* `expected`: the revision that must be there, 0 for none, or KN_ANY_REVISION. */
int kn_kv_entry_put(struct kn_kv_entry *e, struct kb_slice value, uint64_t expected);
int kn_kv_entry_delete(struct kn_kv_entry *e, uint64_t expected);

/* If there is no such key, or no longer. */
int kn_kv_entry_create(struct kn_kv_entry *e, struct kb_slice value);

/* For a call that is refused before a request is sent, which is logged already. */
int kn_kv_entry_refuse(void);

/* Of the last of these functions, until the next one: false when it found no value; 0: no revision. */
bool kn_kv_entry_value(struct kb_slice *value);
uint64_t kn_kv_entry_revision(void);

#endif
