/*
 * Which questions went to which subject. A server that does not let us publish somewhere names the subject and no
 * message, so all that ask there end together.
 */
#ifndef KB_NATS_ASKED_H
#define KB_NATS_ASKED_H

#include "core/slice.h"
#include "core/uuid.h"

struct kb_nats_asked;

/* Remembers the last `n` questions at least. NULL on failure. */
struct kb_nats_asked *kb_nats_asked_create(size_t n);
void kb_nats_asked_free(struct kb_nats_asked *asked); /* NULL is fine */

/* A question under way. One whose id has not KB_UUID_SHORT_CHARS is not remembered. */
void kb_nats_asked_note(struct kb_nats_asked *asked, struct kb_slice subject, struct kb_slice id);

/* Calls end() once for each that went to the subject, oldest first, answered or not, and forgets them. */
void kb_nats_asked_end(struct kb_nats_asked *asked, struct kb_slice subject,
	void (*end)(void *context, struct kb_slice id), void *context);

#endif
