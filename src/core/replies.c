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

/* Memory that takes pages when they are first written to. A process that locks all of its memory (mlock_pages) takes
 * all pages of a new mapping at once, unless it may not access them yet. */
static char *reserve(size_t bytes)
{
	char *memory = mmap(NULL, bytes, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	if (mprotect(memory, bytes, PROT_READ | PROT_WRITE) == 0)
		return memory;
	int failed = errno;
	munmap(memory, bytes);
	errno = failed;
	return NULL;
}

/* A core dump without the replies: the kernel would take all their pages to write them. */
static int map(struct kb_replies *replies, size_t shares)
{
	size_t head = aligned(sizeof *replies->shared + shares * sizeof(struct kb_wake)),
		   claims = shares * replies->claims_stride, slots = replies->n * sizeof(struct kb_reply_slot),
		   page = (size_t)sysconf(_SC_PAGESIZE), before = (head + claims + slots + page - 1) / page * page,
		   total = before + replies->n * replies->stride;
	char *memory = reserve(total);
	if (!memory)
		return -errno;
	(void)madvise(memory + before, total - before, MADV_DONTDUMP);
	replies->total = total;
	replies->shared = (void *)memory;
	replies->claims = memory + head;
	replies->slots = (void *)(memory + head + claims);
	replies->contents = memory + before;
	return open_wakes(replies, shares);
}

struct kb_replies *kb_replies_create(size_t n, size_t sync, size_t shares, size_t bytes)
{
	struct kb_replies *replies = malloc(sizeof *replies);
	if (!replies)
		return NULL;
	*replies = (struct kb_replies){.n = n,
		.sync = sync,
		.bytes = bytes,
		.stride = aligned(bytes),
		.most = n,
		.claims_stride = kb_reply_claims_stride(n - sync, shares)};
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

bool kb_replies_next_claimed(const struct kb_replies *replies, size_t share, size_t *at, size_t *slot)
{
	return kb_reply_claims_next(replies, share, at, slot);
}

struct kb_wake *kb_replies_wake(struct kb_replies *replies, size_t share)
{
	return &replies->shared->wakes[share];
}

size_t kb_replies_in_flight(const struct kb_replies *replies)
{
	size_t count = 0, slot;
	struct kb_reply_walk walk = {0};
	while (kb_reply_claims_walk(replies, &walk, &slot))
		count += atomic_load_explicit(&replies->slots[slot].hash, memory_order_relaxed) != 0;
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

static void change_taken(struct kb_replies *replies, struct kb_reply_slot *s, uint32_t to)
{
	if (!kb_reply_slot_change(s, KB_REPLY_FILLING, to))
		kb_reply_slot_release(replies, (size_t)(s - replies->slots)); /* abandoned meanwhile */
}

static void give_back(struct kb_replies *replies, struct kb_reply_slot *s)
{
	change_taken(replies, s, KB_REPLY_WAITING);
}

static void finish(struct kb_replies *replies, struct kb_reply_slot *s, enum kb_reply_state state)
{
	change_taken(replies, s, state);
	wake_owner(replies, s);
}

/* Compares the hashes first, and the ids only in a slot that is taken. */
static bool take_if(struct kb_replies *replies, size_t slot, struct kb_slice id, uint64_t hash)
{
	struct kb_reply_slot *s = &replies->slots[slot];
	if (atomic_load_explicit(&s->hash, memory_order_relaxed) != hash || !take(s))
		return false;
	if (kb_slice_equal(kb_slice(s->id, s->id_size), id))
		return true;
	give_back(replies, s);
	return false;
}

static struct kb_reply_slot *search(struct kb_replies *replies, struct kb_slice id, uint64_t hash)
{
	struct kb_reply_walk walk = {0};
	size_t slot;
	while (kb_reply_claims_walk(replies, &walk, &slot))
		if (take_if(replies, slot, id, hash))
			return &replies->slots[slot];
	return NULL;
}

/* The slot that waits for this id, taken; NULL: none does. Slots are searched only while there is an id that does not
 * name its slot. */
static struct kb_reply_slot *take_by_id(struct kb_replies *replies, struct kb_slice id)
{
	uint64_t hash = kb_slice_hash(id);
	size_t named = kb_reply_id_slot(id);
	if (named < replies->n && take_if(replies, named, id, hash))
		return &replies->slots[named];
	return atomic_load(&replies->shared->nameless) ? search(replies, id, hash) : NULL;
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
	struct kb_reply_walk walk = {0};
	size_t slot;
	while (kb_reply_claims_walk(replies, &walk, &slot)) {
		struct kb_reply_slot *s = &replies->slots[slot];
		if (atomic_load(&s->to) != hash || !take(s))
			continue;
		if (atomic_load(&s->to) == hash)
			finish(replies, s, state);
		else
			give_back(replies, s); /* the next request has the slot by now */
	}
}

void kb_replies_lose(struct kb_replies *replies)
{
	struct kb_reply_walk walk = {0};
	size_t slot;
	while (kb_reply_claims_walk(replies, &walk, &slot))
		if (kb_reply_slot_change(&replies->slots[slot], KB_REPLY_WAITING, KB_REPLY_LOST))
			wake_owner(replies, &replies->slots[slot]);
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
