#include "bus/backoff.h"

#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* Processes forked from one parent must not share a sequence: never from a constant or the time alone. */
static uint64_t seed(void)
{
	uint64_t random;
	if (getrandom(&random, sizeof random, GRND_NONBLOCK) == (ssize_t)sizeof random && random)
		return random;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((uint64_t)getpid() << 32 ^ (uint64_t)now.tv_nsec) | 1;
}

/* xorshift64: good enough to scatter pauses. */
static uint64_t next_random(struct kb_backoff *b)
{
	if (!b->random)
		b->random = seed();
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random;
}

int kb_backoff_next_ms(struct kb_backoff *b)
{
	int ceiling = b->ceiling_ms ? b->ceiling_ms : KB_BACKOFF_FIRST_MS;
	b->ceiling_ms = ceiling * 2 > KB_BACKOFF_MAX_MS ? KB_BACKOFF_MAX_MS : ceiling * 2;
	int half = ceiling / 2;
	return half + (int)(next_random(b) % (uint64_t)(ceiling - half + 1));
}

void kb_backoff_opened(struct kb_backoff *b, int64_t now_ms)
{
	b->opened_ms = now_ms;
}

void kb_backoff_lost(struct kb_backoff *b, int64_t now_ms)
{
	if (now_ms - b->opened_ms >= KB_BACKOFF_STEADY_MS)
		b->ceiling_ms = 0;
}
