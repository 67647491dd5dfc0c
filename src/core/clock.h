/* The clock that deadlines are on: milliseconds of CLOCK_MONOTONIC, the same in all processes of a machine. */
#ifndef KB_CORE_CLOCK_H
#define KB_CORE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t kb_now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* When timeout_ms have passed in full: of the millisecond that has begun, a part is over already. */
static inline uint64_t kb_deadline_ms(uint64_t timeout_ms)
{
	return kb_now_ms() + timeout_ms + 1;
}

#endif
