/* Key-value buckets for scripts: nats_kv_get and its like (kv.c), the entries they are about (kv_entries.c),
 * and the buckets that are made at the start (kv_buckets.c). */
#ifndef KB_KAMAILIO_NATS_KV_H
#define KB_KAMAILIO_NATS_KV_H

#include <core/parser/msg_parser.h>
#include <core/pvar.h>

#include <stdbool.h>

#include "core/message.h"

/* What the functions return besides enum kn_outcome. */
enum { KN_NO_KEY = -4, KN_CONFLICT = -5 };

int kn_kv_get(struct sip_msg *msg, char *bucket, char *key, char *target);
int kn_kv_put(struct sip_msg *msg, char *bucket, char *key, char *value);
int kn_kv_create(struct sip_msg *msg, char *bucket, char *key, char *value);
int kn_kv_update(struct sip_msg *msg, char *bucket, char *key, char *value, char *revision);
int kn_kv_delete2(struct sip_msg *msg, char *bucket, char *key);
int kn_kv_delete3(struct sip_msg *msg, char *bucket, char *key, char *revision);

int kn_kemi_kv_get(struct sip_msg *msg, str *bucket, str *key);
int kn_kemi_kv_put(struct sip_msg *msg, str *bucket, str *key, str *value);
int kn_kemi_kv_create(struct sip_msg *msg, str *bucket, str *key, str *value);
int kn_kemi_kv_update(struct sip_msg *msg, str *bucket, str *key, str *value, str *revision);
int kn_kemi_kv_delete(struct sip_msg *msg, str *bucket, str *key);
int kn_kemi_kv_delete_revision(struct sip_msg *msg, str *bucket, str *key, str *revision);

/* $natsValue, $natsRevision: of the last of these functions in this process */
int kn_pv_value(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_pv_revision(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);

/* -- entries: each function asks and waits, and returns what the script's function is to return; all that fails has a
 * log line that begins with its name, but for what a script must expect (no such key, a conflict) -- */

/* Bucket and key may be any text, and lie in an earlier answer. */
struct kn_entry {
	const char *function;
	struct kb_slice bucket, key;
};

#define KN_ANY_REVISION UINT64_MAX

int kn_entry_get(struct kn_entry *e);

/* `expected`: the revision that must be there, 0 for none, or KN_ANY_REVISION. */
int kn_entry_put(struct kn_entry *e, struct kb_slice value, uint64_t expected);
int kn_entry_delete(struct kn_entry *e, uint64_t expected);

/* If there is none, or no longer. */
int kn_entry_create(struct kn_entry *e, struct kb_slice value);

/* For what is refused before it is asked, which is logged already. */
int kn_entry_refuse(void);

/* Of the last of these functions, until the next one: false when it found no value; 0 when it has no revision. */
bool kn_entry_value(struct kb_slice *value);
uint64_t kn_entry_revision(void);

/* -- the buckets of nats_kv_bucket, in the requester -- */

/* A connection opened: the server may be another one, or have lost them. */
void kn_buckets_forget(void);

/* While connected: asks for those that the server has not confirmed, and again after a while. */
void kn_buckets_ask(void);

/* True when m, which came to the inbox with this id, answers kn_buckets_ask(). */
bool kn_buckets_answered(struct kb_slice id, const struct kb_message *m);

#endif
