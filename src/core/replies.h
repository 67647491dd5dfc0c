/*
 * Requests in flight: slots in shared memory in which a reply finds the process that waits for it.
 *
 *     process that waits   kb_reply_claim(), kb_reply_begin()      FREE -> CLAIMED -> WAITING
 *     requester            kb_replies_take()                       WAITING -> FILLING
 *                          kb_replies_finish()                     FILLING -> RECEIVED or TOO_LARGE
 *                          kb_replies_end()                        WAITING -> UNROUTABLE, UNSENT or FORBIDDEN
 *                          kb_replies_lose()                       WAITING -> LOST, all of them
 *     process that waits   kb_reply_wait() or kb_reply_poll()      reads the reply in place
 *                          kb_reply_end()                          -> FREE
 *
 * A slot that begins to wait has the id that the reply will carry and the deadline (reply.h). The requester is the
 * process with the connection; it wakes the process that waits. It ends a request whose reply will not come, and loses
 * all of them when its connection ends.
 *
 * A reply whose id no process waits for is late, repeated or foreign, and finds no slot. There is no lock: a requester
 * that dies while it fills a slot makes that slot unusable and affects no other.
 */
#ifndef KB_CORE_REPLIES_H
#define KB_CORE_REPLIES_H

#include "core/reply.h"
#include "core/line.h"
#include "core/slice.h"
#include "core/wake.h"

/* n slots for replies of at most `bytes` each in shared memory; pages are taken when first used, and the lowest slots
 * are used first. Each of the first `sync` slots belongs to one process, which waits in kb_reply_wait(). The others are
 * for any process to claim, and are divided into `shares` shares, at least one, each of a process that ends them: a
 * reply in one of them signals kb_replies_wake() of its share. Call before any fork. NULL and errno on failure. */
struct kb_replies *kb_replies_create(size_t n, size_t sync, size_t shares, size_t bytes);
void kb_replies_destroy(struct kb_replies *replies); /* NULL is fine; the owner process only */

/* Allows at most `most` requests in flight, in any slots, instead of one for each slot. Before any fork. */
void kb_replies_limit(struct kb_replies *replies, size_t most);

/* Bytes of the longest reply. */
size_t kb_replies_room(const struct kb_replies *replies);

/* The slots of a share that kb_reply_claim() has handed out and that are not ended, one after the other, from *at = 0
 * on; claiming takes the shares in turn. False: there are no more. */
bool kb_replies_next_claimed(const struct kb_replies *replies, size_t share, size_t *at, size_t *slot);

/* Signalled by the end of requests in claimed slots of this share. */
struct kb_wake *kb_replies_wake(struct kb_replies *replies, size_t share);

/* Requests that wait for their reply. */
size_t kb_replies_in_flight(const struct kb_replies *replies);

/* -- the requester, one process -- */

/* Room for a reply in the slot that waits for it, aligned to 8. */
struct kb_reply_room {
	char *p;
	size_t n; /* kb_replies_room() */
	size_t slot;
};

/* Takes the slot of the request that waits for this id; the request does not end before kb_replies_finish(). False: no
 * request waits for it. */
bool kb_replies_take(struct kb_replies *replies, struct kb_slice id, struct kb_reply_room *room);

/* Ends the request with the reply of `size` bytes that has been written into the room; with one that is longer than the
 * room, of which nothing has to be written, as KB_REPLY_TOO_LARGE. */
void kb_replies_finish(struct kb_replies *replies, const struct kb_reply_room *room, size_t size);

/* Ends the request that waits for this id, as KB_REPLY_UNROUTABLE, KB_REPLY_UNSENT or KB_REPLY_FORBIDDEN. False: no
 * request waits for it. */
bool kb_replies_end(struct kb_replies *replies, struct kb_slice id, enum kb_reply_state state);

/* The same for all requests to this exchange (kb_reply_begin()). */
void kb_replies_end_all_to(struct kb_replies *replies, struct kb_slice to, enum kb_reply_state state);

/* Ends all requests as KB_REPLY_LOST. */
void kb_replies_lose(struct kb_replies *replies);

/* Whether a request can have a reply now: the requester says so. Closing loses all that wait. NULL for `why`, and
 * before the requester has said anything: no broker is connected. */
void kb_replies_open(struct kb_replies *replies);
void kb_replies_close(struct kb_replies *replies, const char *why);
bool kb_replies_are_open(const struct kb_replies *replies);
void kb_replies_why_closed(const struct kb_replies *replies, char why[KB_LINE_BYTES]);

/* Counts the connections that replies come over; part of the reply address over AMQP. */
uint32_t kb_replies_generation(const struct kb_replies *replies);
void kb_replies_next_generation(struct kb_replies *replies);

#endif
