/* The clock that deadlines are on: CLOCK_MONOTONIC, the same in all processes of a machine. */
#ifndef KB_CORE_CLOCK_H
#define KB_CORE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t kb_clock_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline int64_t kb_clock_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* When timeout_ms have passed in full: of the millisecond that has begun, a part is over already. */
static inline int64_t kb_clock_deadline_ms(int64_t timeout_ms)
{
	return kb_clock_ms() + timeout_ms + 1;
}

#endif
