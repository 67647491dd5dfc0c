/* The buckets that nats_kv_bucket names, which the requester makes when its connection is open. */
#ifndef KB_KAMAILIO_NATS_KV_BUCKETS_H
#define KB_KAMAILIO_NATS_KV_BUCKETS_H

#include <stdbool.h>

#include "core/message.h"
#include "core/outbox.h"

/* A connection opened or ended: the server may be another one, or have lost its buckets. */
void kn_kv_buckets_forget(void);

/* While connected: puts requests for those that the server has not confirmed into this process's ring of the outbox,
 * and again after a while. Replies come to INBOX.ID. */
void kn_kv_buckets_request(struct kb_outbox *outbox, const char *inbox);

/* True when `id` is that of such a request. `reply`: NULL when the request could not be sent. */
bool kn_kv_buckets_replied(struct kb_slice id, const struct kb_message *reply);

#endif
