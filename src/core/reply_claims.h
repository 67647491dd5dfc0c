/* Which slots of replies are claimed, of those behind the slots of the processes: for reply.c and replies.c.
 *
 * Each share has a bitmap of its slots, and a request gets the lowest one that is free. So what is in flight lies close
 * together at the beginning, and neither the memory in use nor the time of a search depends on how many requests are
 * allowed. */
#ifndef KB_CORE_REPLY_CLAIMS_H
#define KB_CORE_REPLY_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>

struct kb_replies;

/* Bytes from one share to the next in shared memory, which starts out as zeros and is aligned to 64. */
size_t kb_reply_claims_stride(size_t claimable, size_t shares);

/* Claims a slot; the shares take turns. -1: all are claimed. */
long kb_reply_claims_take(struct kb_replies *replies);
void kb_reply_claims_give_back(struct kb_replies *replies, size_t slot);

/* The claimed slots of a share one after the other, from *at = 0 on. False: there are no more. */
bool kb_reply_claims_next(const struct kb_replies *replies, size_t share, size_t *at, size_t *slot);

/* All slots that can have a request, those of the processes included; starts out as zeros. */
struct kb_reply_walk {
	size_t own, share, at;
};
bool kb_reply_claims_walk(const struct kb_replies *replies, struct kb_reply_walk *walk, size_t *slot);

#endif
