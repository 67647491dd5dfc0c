#include "core/replies.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/reply_id.h"
#include "core/reply_slots.h"

/* -- the memory -- */

enum { ALIGNMENT = 64 };

static size_t aligned(size_t bytes)
{
	return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static int open_wakes(struct kb_replies *replies, size_t n)
{
	while (replies->shares < n) {
		int failed = kb_wake_init(&replies->shared->wakes[replies->shares]);
		if (failed)
			return failed;
		replies->shares++;
	}
	return 0;
}

static int map(struct kb_replies *replies, size_t shares)
{
	size_t head = aligned(sizeof *replies->shared + shares * sizeof(struct kb_wake)),
		   slots = replies->n * sizeof(struct kb_reply_slot), total = head + slots + replies->n * replies->stride;
	char *memory = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	replies->total = total;
	replies->shared = (void *)memory;
	replies->slots = (void *)(memory + head);
	replies->contents = memory + head + slots;
	return open_wakes(replies, shares);
}

struct kb_replies *kb_replies_create(size_t n, size_t sync, size_t shares, size_t bytes)
{
	struct kb_replies *replies = malloc(sizeof *replies);
	if (!replies)
		return NULL;
	*replies = (struct kb_replies){.n = n, .sync = sync, .bytes = bytes, .stride = aligned(bytes), .most = n};
	int failed = map(replies, shares);
	if (!failed)
		return replies;
	kb_replies_destroy(replies);
	errno = -failed;
	return NULL;
}

void kb_replies_destroy(struct kb_replies *replies)
{
	if (!replies)
		return;
	for (size_t i = 0; i < replies->shares; i++)
		kb_wake_close(&replies->shared->wakes[i]);
	if (replies->shared)
		munmap(replies->shared, replies->total);
	free(replies);
}

void kb_replies_limit(struct kb_replies *replies, size_t most)
{
	replies->most = most;
}

size_t kb_replies_room(const struct kb_replies *replies)
{
	return replies->bytes;
}

size_t kb_replies_first_claimable(const struct kb_replies *replies)
{
	return replies->sync;
}

size_t kb_replies_claimable(const struct kb_replies *replies)
{
	return replies->n - replies->sync;
}

size_t kb_replies_shares(const struct kb_replies *replies)
{
	return replies->shares;
}

struct kb_wake *kb_replies_wake(struct kb_replies *replies, size_t share)
{
	return &replies->shared->wakes[share];
}

size_t kb_replies_in_flight(const struct kb_replies *replies)
{
	size_t count = 0;
	for (size_t i = 0; i < replies->n; i++)
		count += atomic_load_explicit(&replies->slots[i].hash, memory_order_relaxed) != 0;
	return count;
}

/* -- the requester -- */

static void wake_owner(struct kb_replies *replies, struct kb_reply_slot *s)
{
	size_t slot = (size_t)(s - replies->slots);
	if (slot < replies->sync)
		syscall(SYS_futex, &s->state, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	else
		kb_wake_signal(kb_reply_slot_wake(replies, slot));
}

/* No other process ends the request of the slot after this, until finish() or give_back(). */
static bool take(struct kb_reply_slot *s)
{
	return kb_reply_slot_change(s, KB_REPLY_WAITING, KB_REPLY_FILLING);
}

static void give_back(struct kb_reply_slot *s)
{
	if (!kb_reply_slot_change(s, KB_REPLY_FILLING, KB_REPLY_WAITING))
		atomic_store(&s->state, KB_REPLY_FREE); /* abandoned meanwhile */
}

static void finish(struct kb_replies *replies, struct kb_reply_slot *s, enum kb_reply_state state)
{
	if (!kb_reply_slot_change(s, KB_REPLY_FILLING, state))
		atomic_store(&s->state, KB_REPLY_FREE); /* abandoned meanwhile */
	wake_owner(replies, s);
}

/* Compares the hashes first, and the ids only in a slot that is taken. */
static bool take_if(struct kb_reply_slot *s, struct kb_slice id, uint64_t hash)
{
	if (atomic_load_explicit(&s->hash, memory_order_relaxed) != hash || !take(s))
		return false;
	if (kb_slice_equal(kb_slice(s->id, s->id_size), id))
		return true;
	give_back(s);
	return false;
}

/* The slot that waits for this id, taken; NULL: none does. All slots are searched only while there is an id that does
 * not name its slot. */
static struct kb_reply_slot *take_by_id(struct kb_replies *replies, struct kb_slice id)
{
	uint64_t hash = kb_slice_hash(id);
	size_t named = kb_reply_id_slot(id);
	if (named < replies->n && take_if(&replies->slots[named], id, hash))
		return &replies->slots[named];
	size_t n = atomic_load(&replies->shared->nameless) ? replies->n : 0;
	for (size_t i = 0; i < n; i++)
		if (take_if(&replies->slots[i], id, hash))
			return &replies->slots[i];
	return NULL;
}

bool kb_replies_take(struct kb_replies *replies, struct kb_slice id, struct kb_reply_room *room)
{
	struct kb_reply_slot *s = take_by_id(replies, id);
	if (!s)
		return false;
	size_t slot = (size_t)(s - replies->slots);
	*room = (struct kb_reply_room){kb_reply_slot_content(replies, slot), replies->bytes, slot};
	return true;
}

void kb_replies_finish(struct kb_replies *replies, const struct kb_reply_room *room, size_t size)
{
	struct kb_reply_slot *s = kb_reply_slot(replies, room->slot);
	atomic_store(&s->reply_size, size);
	finish(replies, s, size > room->n ? KB_REPLY_TOO_LARGE : KB_REPLY_RECEIVED);
}

bool kb_replies_end(struct kb_replies *replies, struct kb_slice id, enum kb_reply_state state)
{
	struct kb_reply_slot *s = take_by_id(replies, id);
	if (s)
		finish(replies, s, state);
	return s != NULL;
}

void kb_replies_end_all_to(struct kb_replies *replies, struct kb_slice to, enum kb_reply_state state)
{
	uint64_t hash = kb_slice_hash(to);
	for (size_t i = 0; i < replies->n; i++) {
		struct kb_reply_slot *s = &replies->slots[i];
		if (atomic_load(&s->to) != hash || !take(s))
			continue;
		if (atomic_load(&s->to) == hash)
			finish(replies, s, state);
		else
			give_back(s); /* the next request has the slot by now */
	}
}

void kb_replies_lose(struct kb_replies *replies)
{
	for (size_t i = 0; i < replies->n; i++)
		if (kb_reply_slot_change(&replies->slots[i], KB_REPLY_WAITING, KB_REPLY_LOST))
			wake_owner(replies, &replies->slots[i]);
}

/* -- open or closed -- */

void kb_replies_open(struct kb_replies *replies)
{
	atomic_store(&replies->shared->open, 1);
}

void kb_replies_close(struct kb_replies *replies, const char *why)
{
	kb_line_set(&replies->shared->closed_because, why);
	atomic_store(&replies->shared->open, 0);
	kb_replies_lose(replies);
}

bool kb_replies_are_open(const struct kb_replies *replies)
{
	return atomic_load(&replies->shared->open);
}

void kb_replies_why_closed(const struct kb_replies *replies, char why[KB_LINE_BYTES])
{
	kb_line_get(&replies->shared->closed_because, why);
	if (!why[0])
		snprintf(why, KB_LINE_BYTES, "not connected to a broker");
}

uint32_t kb_replies_generation(const struct kb_replies *replies)
{
	return atomic_load(&replies->shared->generation);
}

void kb_replies_next_generation(struct kb_replies *replies)
{
	atomic_fetch_add(&replies->shared->generation, 1);
}
