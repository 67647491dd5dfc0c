/*
 * One request and the slot in shared memory that its reply comes to, as seen by the process that sends the request:
 *
 *     kb_reply_claim_own()   the slot of this process, whose reply it waits for in kb_reply_wait()
 *     kb_reply_claim()       one of the other slots, for a request that is handed over to a process of its share
 *     kb_reply_begin()       from now on the slot waits for the id
 *     kb_reply_wait() or kb_reply_poll(), and at last kb_reply_end()
 *
 * replies.h has the whole and the side of the process that receives replies.
 */
#ifndef KB_CORE_REPLY_H
#define KB_CORE_REPLY_H

#include "core/slice.h"

struct kb_replies;

enum {
	KB_REPLY_ID_MAX = 255,  /* bytes: a correlation-id is a short string of AMQP */
	KB_REPLY_NOTE_MAX = 256 /* bytes */
};

/* Stored in the slot, with these values. */
enum kb_reply_state {
	KB_REPLY_FREE,
	KB_REPLY_WAITING,
	KB_REPLY_FILLING,
	KB_REPLY_RECEIVED,
	KB_REPLY_TOO_LARGE,  /* a reply came and is longer than a slot */
	KB_REPLY_UNROUTABLE, /* the request reached no queue, so no reply will come */
	KB_REPLY_UNSENT,     /* the request cannot be sent on this connection */
	KB_REPLY_FORBIDDEN,  /* the account may not send it */
	KB_REPLY_LOST,
	KB_REPLY_TIMEOUT /* never stored: how waiting may end */
};

/* What claiming returns instead of a slot. */
enum {
	KB_REPLY_TOO_MANY = -1, /* as many requests as allowed are in flight, or all slots are taken */
	KB_REPLY_UNUSABLE = -2  /* the receiving process stopped while it filled this slot for an earlier request */
};

/* Reserves `slot`, the one of this process: the slot, KB_REPLY_TOO_MANY or KB_REPLY_UNUSABLE. */
long kb_reply_claim_own(struct kb_replies *replies, size_t slot);

/* Reserves one of the slots behind those of the processes: the slot, or KB_REPLY_TOO_MANY. */
long kb_reply_claim(struct kb_replies *replies);

/* The request in a claimed slot is about to be sent: a reply that carries `id` ends it, or the deadline, which is one
 * of kb_clock_deadline_ms(). `id` has 1 to KB_REPLY_ID_MAX bytes; replies to an id of reply_id.h are matched fastest.
 * `to` is the exchange that the request goes to, by which kb_replies_end_all_to() finds it. Ends the validity of what
 * an earlier request left in the slot. */
void kb_reply_begin(
	struct kb_replies *replies, size_t slot, struct kb_slice id, struct kb_slice to, int64_t deadline_ms);

/* Sleeps until the request has ended. KB_REPLY_RECEIVED sets *reply, which lies in the slot, aligned to 8;
 * KB_REPLY_TOO_LARGE sets reply->n to the size of the reply, and reply->p to NULL. A reply in the slot of this process
 * stays valid until the process begins its next request there, a reply in another slot until kb_reply_end(). */
enum kb_reply_state kb_reply_wait(struct kb_replies *replies, size_t slot, struct kb_slice *reply);

/* The same without sleeping; KB_REPLY_FREE or KB_REPLY_WAITING while there is nothing to end. */
enum kb_reply_state kb_reply_poll(struct kb_replies *replies, size_t slot, struct kb_slice *reply);

/* Gives a claimed slot back, whether a request began in it or not; a reply that comes after this is late. */
void kb_reply_end(struct kb_replies *replies, size_t slot);

/* The request has been sent, and the process of the slot's share polls and ends it from now on. It finds `size` bytes
 * of `note` in the slot, at most KB_REPLY_NOTE_MAX. Until then the slot belongs to the process that claimed it, however
 * the request may end. */
void kb_reply_hand_over(struct kb_replies *replies, size_t slot, const void *note, size_t size);
bool kb_reply_is_handed_over(const struct kb_replies *replies, size_t slot);

/* KB_REPLY_NOTE_MAX bytes that another process has written. */
const void *kb_reply_note(const struct kb_replies *replies, size_t slot);

#endif
