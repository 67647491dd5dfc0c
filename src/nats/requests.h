/*
 * Which requests went to which subject. A server that lets us publish nothing to a subject names the subject and no
 * message, so all requests that went there end together.
 */
#ifndef KB_NATS_REQUESTS_H
#define KB_NATS_REQUESTS_H

#include "core/reply_id.h"

struct kb_nats_requests;

/* Remembers at least the last `n` requests. NULL on failure. */
struct kb_nats_requests *kb_nats_requests_create(size_t n);
void kb_nats_requests_free(struct kb_nats_requests *requests); /* NULL is fine */

/* A request has been sent. One whose id has not KB_REPLY_ID_WORD_CHARS is not remembered. */
void kb_nats_requests_note(struct kb_nats_requests *requests, struct kb_slice subject, struct kb_slice id);

/* Calls end() once for each request that went to the subject, oldest first, whether it had its reply or not, and
 * forgets them. */
void kb_nats_requests_end(struct kb_nats_requests *requests, struct kb_slice subject,
	void (*end)(void *context, struct kb_slice id), void *context);

#endif
