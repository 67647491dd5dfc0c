#include "broker/pace.h"

#include <time.h>

enum { WINDOW_US = 1000 };

static uint64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int kb_pace_gather(struct kb_pace *pace)
{
	uint64_t now = now_us(), elapsed = now - pace->window_us;

	int fast = (uint64_t)pace->count * 1000 > KB_PACE_PER_MS * (elapsed > WINDOW_US ? elapsed : WINDOW_US);
	if (elapsed > WINDOW_US) {
		pace->window_us = now;
		pace->count = 0;
	}
	if (!fast)
		return 0;
	nanosleep(&(struct timespec){0, KB_PACE_NAP_US * 1000}, NULL);
	return 1;
}
