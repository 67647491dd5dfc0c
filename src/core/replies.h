/*
 * Questions under way: slots in shared memory in which an answer finds the process that asked.
 *
 *     asker        kb_reply_ask(): FREE -> WAITING, with the id the answer will carry and the last moment it is wanted
 *     answerer     kb_replies_answer(): WAITING -> FILLING -> ANSWERED or TOO_LARGE, and wakes the asker directly
 *                  kb_replies_refuse(): WAITING -> FILLING -> UNROUTABLE: the broker says that nobody gets the question
 *                  kb_replies_lose(): WAITING -> LOST, all of them: the broker that would bring the answers is gone
 *     asker        kb_reply_wait() or kb_reply_poll(), reads the answer in place, kb_reply_end(): -> FREE
 *
 * An answer that comes when nobody waits for its id is late, repeated, or nobody's, and finds no slot. No lock: an
 * answerer that dies while it fills a slot leaves that slot unusable and harms nobody else.
 */
#ifndef KB_CORE_REPLIES_H
#define KB_CORE_REPLIES_H

#include <stdint.h>
#include "core/slice.h"
#include "core/stats.h"
#include "core/wake.h"

enum { KB_REPLY_ID_MAX = 255 /* bytes: a correlation-id is a short string of AMQP */ };

struct kb_replies;

enum kb_reply_state {
	KB_REPLY_FREE,
	KB_REPLY_WAITING,
	KB_REPLY_FILLING,
	KB_REPLY_ANSWERED,
	KB_REPLY_TOO_LARGE,  /* the answer is there, and longer than a slot takes */
	KB_REPLY_UNROUTABLE, /* the question went nowhere, so there will be none */
	KB_REPLY_LOST,
	KB_REPLY_TIMEOUT /* never stored: what waiting may end with */
};

/* Shared memory for n slots with answers of at most `bytes` each; pages are taken when first used. The first `sync`
 * slots belong each to one process that waits in kb_reply_wait(); the others are for whoever claims them, and fall into
 * `shares` shares, at least one, each of a process that ends them: an answer there signals kb_replies_wake() of its
 * share. Call before any fork. NULL and errno on failure. */
struct kb_replies *kb_replies_create(size_t n, size_t sync, size_t shares, size_t bytes);
void kb_replies_destroy(struct kb_replies *replies); /* NULL is fine; the owner process only */

/* At most so many questions under way, in whatever slots, instead of as many as there are. Before any fork. */
void kb_replies_limit(struct kb_replies *replies, size_t most);

size_t kb_replies_answer_max(const struct kb_replies *replies);

/* -- the asker -- */

enum kb_reply_begun {
	KB_REPLY_BEGUN,
	KB_REPLY_TOO_MANY, /* as many as kb_replies_limit() allows are under way */
	KB_REPLY_UNUSABLE  /* an earlier answerer died in the slot, or the id is longer than KB_REPLY_ID_MAX */
};

/* Begins a question in `slot`; its deadline is of kb_deadline_ms(). */
enum kb_reply_begun kb_reply_ask(struct kb_replies *replies, size_t slot, struct kb_slice id, int64_t deadline_ms);

/* Claims one of the slots behind the first `sync` and begins a question in it. -1: all are taken, or as many as are
 * allowed under way. */
long kb_reply_claim(struct kb_replies *replies, struct kb_slice id, int64_t deadline_ms);

/* Where the question in the slot goes, said before it is sent: what kb_replies_refuse_all() finds it by. */
void kb_reply_goes_to(struct kb_replies *replies, size_t slot, struct kb_slice to);

/* Waits for the answer until the deadline: KB_REPLY_ANSWERED, with *answer valid until kb_reply_end();
 * KB_REPLY_TOO_LARGE, with its size in answer->n and nothing to read; KB_REPLY_UNROUTABLE; KB_REPLY_LOST; or
 * KB_REPLY_TIMEOUT. */
enum kb_reply_state kb_reply_wait(struct kb_replies *replies, size_t slot, struct kb_slice *answer);

/* The same without waiting; KB_REPLY_FREE or KB_REPLY_WAITING when there is nothing to end yet. */
enum kb_reply_state kb_reply_poll(struct kb_replies *replies, size_t slot, struct kb_slice *answer);
const void *kb_reply_note(struct kb_replies *replies, size_t slot);

/* Gives the slot back; an answer that comes from now on is late. */
void kb_reply_end(struct kb_replies *replies, size_t slot);

/* The slots that kb_reply_claim() hands out. */
size_t kb_replies_first_claimable(const struct kb_replies *replies);
size_t kb_replies_claimable(const struct kb_replies *replies);

/* The claimable slots of a share are its first one and then every kb_replies_shares()th; claiming takes the shares in
 * turn. */
size_t kb_replies_shares(const struct kb_replies *replies);

/* Signalled by answers in slots of this share that were claimed. */
struct kb_wake *kb_replies_wake(struct kb_replies *replies, size_t share);

/* By whoever claimed the slot, when the question is on its way: from now on the process of its share looks at it and
 * ends it, for which it has the note, `size` bytes of the claimer's own, at most KB_REPLY_NOTE_MAX. Before, however the
 * question may end, the slot is the claimer's alone, to be given back when the question cannot be sent. */
enum { KB_REPLY_NOTE_MAX = 256 };
void kb_reply_hand_over(struct kb_replies *replies, size_t slot, const void *note, size_t size);
bool kb_reply_is_handed_over(const struct kb_replies *replies, size_t slot);

/* -- the answerer, one process -- */

/* Each is true when someone waited for this id. An answer that is longer than kb_replies_answer_max() ends the
 * question, too; `bytes` is the size of one that is not at hand. */
bool kb_replies_answer(struct kb_replies *replies, struct kb_slice id, struct kb_slice answer);
bool kb_replies_answer_too_large(struct kb_replies *replies, struct kb_slice id, size_t bytes);
bool kb_replies_refuse(struct kb_replies *replies, struct kb_slice id);

/* All questions that go there: none of them reaches anybody. */
void kb_replies_refuse_all(struct kb_replies *replies, struct kb_slice to);
void kb_replies_lose(struct kb_replies *replies);

/* Whether asking makes sense: the answerer says so, and closing loses all that wait. NULL for `why`, and before the
 * answerer has said anything: no broker is connected. */
void kb_replies_open(struct kb_replies *replies);
void kb_replies_close(struct kb_replies *replies, const char *why);
bool kb_replies_are_open(const struct kb_replies *replies);
void kb_replies_why_closed(const struct kb_replies *replies, char why[KB_LINE_BYTES]);

/* Counts the connections that answers come over; part of the address they are asked to go to. */
uint32_t kb_replies_generation(const struct kb_replies *replies);
void kb_replies_next_generation(struct kb_replies *replies);

/* How many questions are under way. */
size_t kb_replies_under_way(const struct kb_replies *replies);

#endif
