/* bus/backoff: the pauses between attempts to connect. No clock is involved: the pauses are numbers. */
#include "bus/backoff.h"

#include <stddef.h>
#include <stdio.h>

static int failures;

#define CHECK(condition)                                                                                               \
	do {                                                                                                               \
		if (!(condition)) {                                                                                            \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
			failures++;                                                                                                \
		}                                                                                                              \
	} while (0)

static void doubles_up_to_the_maximum(void)
{
	static const int ceilings[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
	for (uint64_t random = 1; random < 2000; random++) {
		struct kb_backoff b = {.random = random * 0x9e3779b97f4a7c15u};
		for (size_t i = 0; i < sizeof ceilings / sizeof *ceilings; i++) {
			int ms = kb_backoff_next_ms(&b);
			CHECK(ms >= ceilings[i] / 2 && ms <= ceilings[i]);
		}
	}
}

static void starts_again_after_a_good_connection(void)
{
	struct kb_backoff b = {0};
	for (int i = 0; i < 20; i++)
		kb_backoff_next_ms(&b);
	kb_backoff_opened(&b, 10000);
	kb_backoff_lost(&b, 10000 + KB_BACKOFF_STEADY_MS - 1);
	CHECK(kb_backoff_next_ms(&b) >= KB_BACKOFF_MAX_MS / 2);
	kb_backoff_opened(&b, 20000);
	kb_backoff_lost(&b, 20000 + KB_BACKOFF_STEADY_MS);
	CHECK(kb_backoff_next_ms(&b) <= KB_BACKOFF_FIRST_MS);
	CHECK(kb_backoff_next_ms(&b) >= KB_BACKOFF_FIRST_MS);
}

static void scatters_those_that_start_together(void)
{
	int different = 0;
	for (int i = 0; i < 50; i++) {
		struct kb_backoff a = {.ceiling_ms = 5000}, b = {.ceiling_ms = 5000};
		different += kb_backoff_next_ms(&a) != kb_backoff_next_ms(&b);
	}
	CHECK(different > 40);
}

int main(void)
{
	doubles_up_to_the_maximum();
	starts_again_after_a_good_connection();
	scatters_those_that_start_together();
	return failures ? 1 : 0;
}
