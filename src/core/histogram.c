#include "core/histogram.h"

size_t kb_histogram_bucket(uint64_t us)
{
	if (us < KB_HISTOGRAM_STEPS)
		return us;
	unsigned doubling = 63 - (unsigned)__builtin_clzll(us); /* 2 or above */
	size_t bucket = (doubling - 1) * KB_HISTOGRAM_STEPS + ((us >> (doubling - 2)) & (KB_HISTOGRAM_STEPS - 1));
	return bucket < KB_HISTOGRAM_BUCKETS ? bucket : KB_HISTOGRAM_BUCKETS - 1;
}

uint64_t kb_histogram_least(size_t bucket)
{
	if (bucket < KB_HISTOGRAM_STEPS)
		return bucket;
	uint64_t step = KB_HISTOGRAM_STEPS + bucket % KB_HISTOGRAM_STEPS;
	return step << (bucket / KB_HISTOGRAM_STEPS - 1);
}

void kb_histogram_note(kb_counter *columns, uint64_t us)
{
	kb_counter_add(&columns[kb_histogram_bucket(us)], 1);
	kb_counter_add(&columns[KB_HISTOGRAM_BUCKETS], us);
}

void kb_histogram_read(const struct kb_stats *stats, size_t first_column, struct kb_histogram *histogram)
{
	histogram->count = 0;
	for (size_t i = 0; i < KB_HISTOGRAM_BUCKETS; i++) {
		histogram->buckets[i] = kb_stats_sum(stats, first_column + i);
		histogram->count += histogram->buckets[i];
	}
	histogram->sum_us = kb_stats_sum(stats, first_column + KB_HISTOGRAM_BUCKETS);
}

uint64_t kb_histogram_percentile(const struct kb_histogram *histogram, unsigned percent)
{
	uint64_t wanted = (histogram->count * percent + 99) / 100, below = 0;
	for (size_t i = 0; i < KB_HISTOGRAM_BUCKETS; i++) {
		uint64_t here = histogram->buckets[i];
		if (here && below + here >= wanted) {
			/* The values of a bucket are taken to lie evenly between its bounds. */
			uint64_t least = kb_histogram_least(i), width = kb_histogram_least(i + 1) - least;
			return least + width * (wanted - below) / here;
		}
		below += here;
	}
	return 0;
}
