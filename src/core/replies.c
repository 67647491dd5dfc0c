#include "core/replies.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/clock.h"

enum {
	FILL_PATIENCE_MS = 50, /* an answerer fills a slot in microseconds, unless it is stopped in the middle */
	CLAIMED = 100,         /* between FREE and WAITING, while the id is written */
	ABANDONED = 101        /* the asker went away while it was filled; whoever fills it frees it */
};

struct slot {
	_Alignas(64) _Atomic uint32_t state; /* also the futex that the asker sleeps on */
	_Atomic uint64_t hash;               /* of the id, 0: no question; the answerer looks through all of them */
	_Atomic uint64_t to;                 /* hash of where it goes; 0: not said */
	_Atomic bool handed_over;            /* by whoever claimed it: from now on another process ends it */
	int64_t deadline_ms;
	size_t answer_size;
	uint8_t id_size;
	char id[KB_REPLY_ID_MAX];
	unsigned char note[KB_REPLY_NOTE_MAX];
};

struct kb_replies {
	size_t n, sync, shares, bytes, total;
	_Atomic uint32_t open, generation;
	struct kb_line closed_because; /* empty: no broker is connected */
	_Atomic size_t begun;          /* questions, and not ended */
	size_t most;                   /* of them */
	_Atomic size_t next_claim;     /* where claiming looks first */
	struct slot *slots;
	char *answers;
	struct kb_wake wakes[]; /* one for each share */
};

static int open_wakes(struct kb_replies *replies, size_t n)
{
	while (replies->shares < n) {
		int failed = kb_wake_init(&replies->wakes[replies->shares]);
		if (failed)
			return failed;
		replies->shares++;
	}
	return 0;
}

struct kb_replies *kb_replies_create(size_t n, size_t sync, size_t shares, size_t bytes)
{
	size_t head = (sizeof(struct kb_replies) + shares * sizeof(struct kb_wake) + 63) & ~(size_t)63;
	size_t total = head + n * (sizeof(struct slot) + bytes);
	char *memory = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	struct kb_replies *replies = (void *)memory;
	replies->n = n;
	replies->sync = sync;
	replies->most = n;
	replies->bytes = bytes;
	replies->total = total;
	replies->slots = (void *)(memory + head);
	replies->answers = memory + head + n * sizeof(struct slot);
	int failed = open_wakes(replies, shares);
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
		kb_wake_close(&replies->wakes[i]);
	munmap(replies, replies->total);
}

void kb_replies_limit(struct kb_replies *replies, size_t most)
{
	replies->most = most;
}

size_t kb_replies_answer_max(const struct kb_replies *replies)
{
	return replies->bytes;
}

static bool change(struct slot *s, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong(&s->state, &from, to);
}

static long futex(struct slot *s, int operation, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, &s->state, operation, value, timeout, NULL, 0);
}

/* -- the asker -- */

/* The slot is ours: CLAIMED. */
static void begin(struct slot *s, struct kb_slice id, int64_t deadline_ms)
{
	memcpy(s->id, id.p, id.n);
	s->id_size = (uint8_t)id.n;
	s->deadline_ms = deadline_ms;
	atomic_store(&s->to, 0);
	atomic_store(&s->hash, kb_slice_hash(id));
	atomic_store(&s->state, KB_REPLY_WAITING);
}

static bool enter(struct kb_replies *replies)
{
	if (atomic_fetch_add(&replies->begun, 1) < replies->most)
		return true;
	atomic_fetch_sub(&replies->begun, 1);
	return false;
}

static void leave(struct kb_replies *replies)
{
	atomic_fetch_sub(&replies->begun, 1);
}

enum kb_reply_begun kb_reply_ask(struct kb_replies *replies, size_t slot, struct kb_slice id, int64_t deadline_ms)
{
	struct slot *s = &replies->slots[slot];
	if (!enter(replies))
		return KB_REPLY_TOO_MANY;
	if (id.n > KB_REPLY_ID_MAX || !change(s, KB_REPLY_FREE, CLAIMED)) {
		leave(replies);
		return KB_REPLY_UNUSABLE;
	}
	begin(s, id, deadline_ms);
	return KB_REPLY_BEGUN;
}

long kb_reply_claim(struct kb_replies *replies, struct kb_slice id, int64_t deadline_ms)
{
	size_t n = replies->n - replies->sync, first = atomic_fetch_add(&replies->next_claim, 1);
	if (id.n > KB_REPLY_ID_MAX || !enter(replies))
		return -1;
	for (size_t i = 0; i < n; i++) {
		size_t slot = replies->sync + (first + i) % n;
		struct slot *s = &replies->slots[slot];
		if (!change(s, KB_REPLY_FREE, CLAIMED))
			continue;
		begin(s, id, deadline_ms);
		return (long)slot;
	}
	leave(replies);
	return -1;
}

void kb_reply_goes_to(struct kb_replies *replies, size_t slot, struct kb_slice to)
{
	atomic_store(&replies->slots[slot].to, kb_slice_hash(to));
}

const void *kb_reply_note(struct kb_replies *replies, size_t slot)
{
	return replies->slots[slot].note;
}

enum kb_reply_state kb_reply_poll(struct kb_replies *replies, size_t slot, struct kb_slice *answer)
{
	struct slot *s = &replies->slots[slot];
	uint32_t state = atomic_load(&s->state);
	switch (state) {
	case KB_REPLY_ANSWERED:
		*answer = kb_slice(replies->answers + slot * replies->bytes, s->answer_size);
		return KB_REPLY_ANSWERED;
	case KB_REPLY_TOO_LARGE: *answer = kb_slice(NULL, s->answer_size); return KB_REPLY_TOO_LARGE;
	case KB_REPLY_UNROUTABLE:
	case KB_REPLY_LOST: return (enum kb_reply_state)state;
	case KB_REPLY_WAITING:
		if (kb_now_ms() < s->deadline_ms)
			return KB_REPLY_WAITING;
		/* An answer that comes at this very moment still counts. */
		return change(s, KB_REPLY_WAITING, KB_REPLY_LOST) ? KB_REPLY_TIMEOUT : KB_REPLY_WAITING;
	case KB_REPLY_FILLING:
		if (kb_now_ms() < s->deadline_ms + FILL_PATIENCE_MS)
			return KB_REPLY_WAITING;
		return KB_REPLY_TIMEOUT;
	default: return KB_REPLY_FREE;
	}
}

static void sleep_on(struct slot *s)
{
	uint32_t state = atomic_load(&s->state);
	int64_t now = kb_now_ms(), until = s->deadline_ms;
	if (state != KB_REPLY_WAITING && state != KB_REPLY_FILLING)
		return;
	if (state == KB_REPLY_FILLING)
		until += FILL_PATIENCE_MS;
	int64_t ms = until > now ? until - now : 0;
	struct timespec timeout = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
	futex(s, FUTEX_WAIT, state, &timeout);
}

enum kb_reply_state kb_reply_wait(struct kb_replies *replies, size_t slot, struct kb_slice *answer)
{
	for (;;) {
		enum kb_reply_state state = kb_reply_poll(replies, slot, answer);
		if (state != KB_REPLY_WAITING)
			return state;
		sleep_on(&replies->slots[slot]);
	}
}

/* Until it is FREE nobody else can have it: so one that is filled is given up here and not before. */
void kb_reply_end(struct kb_replies *replies, size_t slot)
{
	struct slot *s = &replies->slots[slot];
	uint32_t state, next;
	leave(replies);
	atomic_store(&s->hash, 0);
	atomic_store(&s->handed_over, false);
	do {
		state = atomic_load(&s->state);
		next = state == KB_REPLY_FILLING ? ABANDONED : KB_REPLY_FREE; /* then the answerer frees it */
	} while (!change(s, state, next));
}

bool kb_reply_is_handed_over(const struct kb_replies *replies, size_t slot)
{
	return atomic_load(&replies->slots[slot].handed_over);
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
	return &replies->wakes[share];
}

void kb_reply_hand_over(struct kb_replies *replies, size_t slot, const void *note, size_t size)
{
	assert(size <= KB_REPLY_NOTE_MAX);
	memcpy(replies->slots[slot].note, note, size);
	atomic_store(&replies->slots[slot].handed_over, true);
	kb_wake_signal(&replies->wakes[(slot - replies->sync) % replies->shares]);
}

/* -- the answerer -- */

static void wake_asker(struct kb_replies *replies, struct slot *s)
{
	size_t slot = (size_t)(s - replies->slots);
	if (slot < replies->sync)
		futex(s, FUTEX_WAKE, INT_MAX, NULL);
	else
		kb_wake_signal(&replies->wakes[(slot - replies->sync) % replies->shares]);
}

/* From now on nobody else ends the question of the slot, until finish() or give_back(). */
static bool take(struct slot *s)
{
	return change(s, KB_REPLY_WAITING, KB_REPLY_FILLING);
}

static void give_back(struct slot *s)
{
	if (!change(s, KB_REPLY_FILLING, KB_REPLY_WAITING))
		atomic_store(&s->state, KB_REPLY_FREE); /* abandoned meanwhile */
}

static void finish(struct kb_replies *replies, struct slot *s, enum kb_reply_state state)
{
	if (!change(s, KB_REPLY_FILLING, state))
		atomic_store(&s->state, KB_REPLY_FREE); /* abandoned meanwhile */
	wake_asker(replies, s);
}

static bool has_id(const struct slot *s, struct kb_slice id)
{
	return kb_slice_equal(kb_slice(s->id, s->id_size), id);
}

/* The slot that waits for this id, taken; NULL: none does. */
static struct slot *take_by_id(struct kb_replies *replies, struct kb_slice id)
{
	uint64_t hash = kb_slice_hash(id);
	for (size_t i = 0; i < replies->n; i++) {
		struct slot *s = &replies->slots[i];
		if (atomic_load_explicit(&s->hash, memory_order_relaxed) != hash || !take(s))
			continue;
		if (has_id(s, id))
			return s;
		give_back(s);
	}
	return NULL;
}

bool kb_replies_answer(struct kb_replies *replies, struct kb_slice id, struct kb_slice answer)
{
	if (answer.n > replies->bytes)
		return kb_replies_answer_too_large(replies, id, answer.n);
	struct slot *s = take_by_id(replies, id);
	if (!s)
		return false;
	if (answer.n)
		memcpy(replies->answers + (size_t)(s - replies->slots) * replies->bytes, answer.p, answer.n);
	s->answer_size = answer.n;
	finish(replies, s, KB_REPLY_ANSWERED);
	return true;
}

bool kb_replies_answer_too_large(struct kb_replies *replies, struct kb_slice id, size_t bytes)
{
	struct slot *s = take_by_id(replies, id);
	if (!s)
		return false;
	s->answer_size = bytes;
	finish(replies, s, KB_REPLY_TOO_LARGE);
	return true;
}

bool kb_replies_refuse(struct kb_replies *replies, struct kb_slice id)
{
	struct slot *s = take_by_id(replies, id);
	if (s)
		finish(replies, s, KB_REPLY_UNROUTABLE);
	return s != NULL;
}

void kb_replies_refuse_all(struct kb_replies *replies, struct kb_slice to)
{
	uint64_t hash = kb_slice_hash(to);
	for (size_t i = 0; i < replies->n; i++) {
		struct slot *s = &replies->slots[i];
		if (atomic_load(&s->to) != hash || !take(s))
			continue;
		if (atomic_load(&s->to) == hash)
			finish(replies, s, KB_REPLY_UNROUTABLE);
		else
			give_back(s); /* the next question has it by now */
	}
}

void kb_replies_lose(struct kb_replies *replies)
{
	for (size_t i = 0; i < replies->n; i++)
		if (change(&replies->slots[i], KB_REPLY_WAITING, KB_REPLY_LOST))
			wake_asker(replies, &replies->slots[i]);
}

void kb_replies_open(struct kb_replies *replies)
{
	atomic_store(&replies->open, 1);
}

void kb_replies_close(struct kb_replies *replies, const char *why)
{
	kb_line_set(&replies->closed_because, why);
	atomic_store(&replies->open, 0);
	kb_replies_lose(replies);
}

bool kb_replies_are_open(const struct kb_replies *replies)
{
	return atomic_load(&replies->open);
}

void kb_replies_why_closed(const struct kb_replies *replies, char why[KB_LINE_BYTES])
{
	kb_line_get(&replies->closed_because, why);
	if (!why[0])
		snprintf(why, KB_LINE_BYTES, "no broker is connected");
}

uint32_t kb_replies_generation(const struct kb_replies *replies)
{
	return atomic_load(&replies->generation);
}

void kb_replies_next_generation(struct kb_replies *replies)
{
	atomic_fetch_add(&replies->generation, 1);
}

size_t kb_replies_under_way(const struct kb_replies *replies)
{
	size_t count = 0;
	for (size_t i = 0; i < replies->n; i++)
		count += atomic_load_explicit(&replies->slots[i].hash, memory_order_relaxed) != 0;
	return count;
}
