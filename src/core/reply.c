#include "core/reply.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/reply_id.h"
#include "core/reply_slots.h"

enum {
	FILL_PATIENCE_MS = 50, /* filling takes microseconds, unless the process is stopped in the middle */
	KEPT_SLOTS = 1024,     /* whose memory stays, for the next requests */
	KEPT_BYTES = 64 * 1024 /* of each of them */
};

/* -- claiming -- */

static bool enter(struct kb_replies *replies)
{
	if (atomic_fetch_add(&replies->shared->begun, 1) < replies->most)
		return true;
	atomic_fetch_sub(&replies->shared->begun, 1);
	return false;
}

static void leave(struct kb_replies *replies)
{
	atomic_fetch_sub(&replies->shared->begun, 1);
}

long kb_reply_claim_own(struct kb_replies *replies, size_t slot)
{
	if (!enter(replies))
		return KB_REPLY_TOO_MANY;
	if (kb_reply_slot_change(kb_reply_slot(replies, slot), KB_REPLY_FREE, KB_REPLY_CLAIMED))
		return (long)slot;
	leave(replies);
	return KB_REPLY_UNUSABLE;
}

long kb_reply_claim(struct kb_replies *replies)
{
	long slot;
	if (!enter(replies))
		return KB_REPLY_TOO_MANY;
	do /* a slot with a state that no process has written stays out of use */
		slot = kb_reply_claims_take(replies);
	while (slot >= 0 && !kb_reply_slot_change(&replies->slots[slot], KB_REPLY_FREE, KB_REPLY_CLAIMED));
	if (slot < 0)
		leave(replies);
	return slot >= 0 ? slot : KB_REPLY_TOO_MANY;
}

/* -- from begin to end -- */

void kb_reply_begin(
	struct kb_replies *replies, size_t slot, struct kb_slice id, struct kb_slice to, int64_t deadline_ms)
{
	struct kb_reply_slot *s = kb_reply_slot(replies, slot);
	kb_require(id.n > 0 && id.n <= KB_REPLY_ID_MAX);
	memcpy(s->id, id.p, id.n);
	s->id_size = (uint8_t)id.n;
	s->deadline_ms = deadline_ms;
	s->nameless = kb_reply_id_slot(id) != slot;
	if (s->nameless)
		atomic_fetch_add(&replies->shared->nameless, 1);
	atomic_store(&s->to, kb_slice_hash(to));
	atomic_store(&s->hash, kb_slice_hash(id));
	atomic_store(&s->state, KB_REPLY_WAITING);
}

static enum kb_reply_state read_received(struct kb_replies *replies, size_t slot, struct kb_slice *reply)
{
	size_t size = atomic_load(&replies->slots[slot].reply_size);
	if (kb_fails(size <= replies->bytes))
		return KB_REPLY_LOST;
	*reply = kb_slice(kb_reply_slot_content(replies, slot), size);
	return KB_REPLY_RECEIVED;
}

enum kb_reply_state kb_reply_poll(struct kb_replies *replies, size_t slot, struct kb_slice *reply)
{
	struct kb_reply_slot *s = kb_reply_slot(replies, slot);
	uint32_t state = atomic_load(&s->state);
	switch (state) {
	case KB_REPLY_RECEIVED: return read_received(replies, slot, reply);
	case KB_REPLY_TOO_LARGE: *reply = kb_slice(NULL, atomic_load(&s->reply_size)); return KB_REPLY_TOO_LARGE;
	case KB_REPLY_UNROUTABLE:
	case KB_REPLY_UNSENT:
	case KB_REPLY_FORBIDDEN:
	case KB_REPLY_LOST: return (enum kb_reply_state)state;
	case KB_REPLY_WAITING:
		if (kb_clock_ms() < s->deadline_ms)
			return KB_REPLY_WAITING;
		/* A reply that comes at this very moment still counts. */
		return kb_reply_slot_change(s, KB_REPLY_WAITING, KB_REPLY_LOST) ? KB_REPLY_TIMEOUT : KB_REPLY_WAITING;
	case KB_REPLY_FILLING:
		if (kb_clock_ms() < s->deadline_ms + FILL_PATIENCE_MS)
			return KB_REPLY_WAITING;
		return KB_REPLY_TIMEOUT;
	default: return KB_REPLY_FREE;
	}
}

static void sleep_on(struct kb_reply_slot *s)
{
	uint32_t state = atomic_load(&s->state);
	int64_t now = kb_clock_ms(), until = s->deadline_ms;
	if (state != KB_REPLY_WAITING && state != KB_REPLY_FILLING)
		return;
	if (state == KB_REPLY_FILLING)
		until += FILL_PATIENCE_MS;
	int64_t ms = until > now ? until - now : 0;
	struct timespec timeout = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
	syscall(SYS_futex, &s->state, FUTEX_WAIT, state, &timeout, NULL, 0);
}

enum kb_reply_state kb_reply_wait(struct kb_replies *replies, size_t slot, struct kb_slice *reply)
{
	for (;;) {
		enum kb_reply_state state = kb_reply_poll(replies, slot, reply);
		if (state != KB_REPLY_WAITING)
			return state;
		sleep_on(&replies->slots[slot]);
	}
}

static void forget_id(struct kb_replies *replies, struct kb_reply_slot *s)
{
	if (atomic_exchange(&s->hash, 0) && s->nameless)
		atomic_fetch_sub(&replies->shared->nameless, 1);
}

/* The process of a slot may go on reading its reply. Others give back what a long one took, and the highest slots,
 * which are in use only while much is in flight, all of it. Memory that cannot be given back is only kept. */
static void trim(struct kb_replies *replies, size_t slot)
{
	size_t kept = slot - replies->sync < KEPT_SLOTS ? KEPT_BYTES : 0;
	size_t size = slot < replies->sync ? 0 : atomic_exchange(&replies->slots[slot].reply_size, 0);
	if (size <= kept || size > replies->bytes)
		return;
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), content = (uintptr_t)kb_reply_slot_content(replies, slot);
	uintptr_t start = (content + kept + page - 1) & ~(page - 1), end = (content + replies->stride) & ~(page - 1);
	if (start < end)
		(void)madvise((void *)start, end - start, MADV_REMOVE);
}

/* True when the slot belongs to this process alone from now on; otherwise the requester releases it. */
static bool give_up(struct kb_reply_slot *s)
{
	uint32_t state;
	do
		state = atomic_load(&s->state);
	while (!kb_reply_slot_change(s, state, state == KB_REPLY_FILLING ? KB_REPLY_ABANDONED : KB_REPLY_CLAIMED));
	return state != KB_REPLY_FILLING;
}

/* No other process can claim the slot until it is FREE: so a slot that is being filled is given up here and not before.
 */
void kb_reply_end(struct kb_replies *replies, size_t slot)
{
	struct kb_reply_slot *s = kb_reply_slot(replies, slot);
	leave(replies);
	forget_id(replies, s);
	atomic_store(&s->handed_over, false);
	if (give_up(s)) {
		trim(replies, slot);
		kb_reply_slot_release(replies, slot);
	}
}

/* -- handing over -- */

void kb_reply_hand_over(struct kb_replies *replies, size_t slot, const void *note, size_t size)
{
	struct kb_reply_slot *s = kb_reply_slot(replies, slot);
	kb_require(size <= KB_REPLY_NOTE_MAX && slot >= replies->sync);
	memcpy(s->note, note, size);
	atomic_store(&s->handed_over, true);
	kb_wake_signal(kb_reply_slot_wake(replies, slot));
}

bool kb_reply_is_handed_over(const struct kb_replies *replies, size_t slot)
{
	return atomic_load(&kb_reply_slot(replies, slot)->handed_over);
}

const void *kb_reply_note(const struct kb_replies *replies, size_t slot)
{
	return kb_reply_slot(replies, slot)->note;
}
