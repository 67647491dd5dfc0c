#include "core/reply_claims.h"

#include "core/reply_slots.h"

enum { WORD_BITS = 64 };

/* In shared memory, one for each share. */
struct share {
	_Alignas(64) _Atomic size_t words;    /* that a slot was ever claimed in */
	_Alignas(64) _Atomic uint64_t used[]; /* a bit for each slot of the share */
};

static size_t words_of(size_t claimable, size_t shares)
{
	size_t slots = (claimable + shares - 1) / shares;
	return (slots + WORD_BITS - 1) / WORD_BITS;
}

size_t kb_reply_claims_stride(size_t claimable, size_t shares)
{
	return sizeof(struct share) + (words_of(claimable, shares) * sizeof(uint64_t) + 63) / 64 * 64;
}

static struct share *share_at(const struct kb_replies *replies, size_t share)
{
	return (struct share *)(void *)(replies->claims + share * replies->claims_stride);
}

/* -- claiming -- */

/* The number of a slot of a share; beyond the last one when there is no such slot. */
static size_t slot_at(const struct kb_replies *replies, size_t share, size_t word, unsigned bit)
{
	return replies->sync + (word * WORD_BITS + bit) * replies->shares + share;
}

static void reach(struct share *s, size_t words)
{
	size_t reached = atomic_load_explicit(&s->words, memory_order_relaxed);
	while (reached < words && !atomic_compare_exchange_weak(&s->words, &reached, words))
		;
}

/* The lowest free slot of a word, claimed; one beyond the last slot when there is none. */
static size_t take_in_word(struct kb_replies *replies, size_t share, size_t word)
{
	struct share *s = share_at(replies, share);
	uint64_t used = atomic_load(&s->used[word]);
	while (~used) {
		unsigned bit = (unsigned)__builtin_ctzll(~used);
		size_t slot = slot_at(replies, share, word, bit);
		if (slot >= replies->n)
			break;
		reach(s, word + 1); /* first: whoever searches must find a slot that has a request */
		if (atomic_compare_exchange_weak(&s->used[word], &used, used | 1ull << bit))
			return slot;
	}
	return replies->n;
}

static size_t take_in_share(struct kb_replies *replies, size_t share)
{
	size_t slot = replies->n, words = words_of(replies->n - replies->sync, replies->shares);
	for (size_t word = 0; word < words && slot >= replies->n; word++)
		slot = take_in_word(replies, share, word);
	return slot;
}

long kb_reply_claims_take(struct kb_replies *replies)
{
	size_t slot = replies->n, first = atomic_fetch_add(&replies->shared->next_share, 1);
	for (size_t i = 0; i < replies->shares && slot >= replies->n; i++)
		slot = take_in_share(replies, (first + i) % replies->shares);
	return slot < replies->n ? (long)slot : -1;
}

void kb_reply_claims_give_back(struct kb_replies *replies, size_t slot)
{
	size_t i = slot - replies->sync, bit = i / replies->shares;
	struct share *s = share_at(replies, i % replies->shares);
	atomic_fetch_and(&s->used[bit / WORD_BITS], ~(1ull << bit % WORD_BITS));
}

/* -- searching -- */

/* Never more than there are, whatever another process has written. */
static size_t reached_words(const struct kb_replies *replies, size_t share)
{
	size_t words = atomic_load(&share_at(replies, share)->words);
	size_t all = words_of(replies->n - replies->sync, replies->shares);
	return words < all ? words : all;
}

bool kb_reply_claims_next(const struct kb_replies *replies, size_t share, size_t *at, size_t *slot)
{
	const struct share *s = share_at(replies, share);
	for (size_t word = *at / WORD_BITS; word < reached_words(replies, share); word++) {
		uint64_t left = atomic_load(&s->used[word]) & (~0ull << *at % WORD_BITS);
		if (left) {
			unsigned bit = (unsigned)__builtin_ctzll(left);
			*at = word * WORD_BITS + bit + 1;
			*slot = slot_at(replies, share, word, bit);
			return *slot < replies->n;
		}
		*at = (word + 1) * WORD_BITS;
	}
	return false;
}

bool kb_reply_claims_walk(const struct kb_replies *replies, struct kb_reply_walk *walk, size_t *slot)
{
	if (walk->own < replies->sync) {
		*slot = walk->own++;
		return true;
	}
	for (; walk->share < replies->shares; walk->share++, walk->at = 0)
		if (kb_reply_claims_next(replies, walk->share, &walk->at, slot))
			return true;
	return false;
}
