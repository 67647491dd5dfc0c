#include "bus/pace.h"

#include <time.h>
#include "core/clock.h"

enum { WINDOW_US = 1000 };

int kb_pace_gather(struct kb_pace *pace, unsigned nap_us)
{
	int64_t now = kb_clock_us(), elapsed = now - pace->window_us;
	int fast = (int64_t)pace->count * 1000 > KB_PACE_PER_MS * (elapsed > WINDOW_US ? elapsed : WINDOW_US);
	if (elapsed > WINDOW_US) {
		pace->window_us = now;
		pace->count = 0;
	}
	if (!fast)
		return 0;
	nanosleep(&(struct timespec){0, nap_us * 1000}, NULL);
	return 1;
}
