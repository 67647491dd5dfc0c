/* A histogram of microseconds: KB_HISTOGRAM_COLUMNS neighbouring counters of a row of core/stats.h. */
#ifndef KB_CORE_HISTOGRAM_H
#define KB_CORE_HISTOGRAM_H

#include "core/stats.h"

enum {
	KB_HISTOGRAM_STEPS = 4, /* buckets for each doubling: none is wider than a quarter of what it holds */
	KB_HISTOGRAM_BUCKETS = 27 * KB_HISTOGRAM_STEPS, /* up to 2^27 us, two minutes; the last takes all above */
	KB_HISTOGRAM_COLUMNS = KB_HISTOGRAM_BUCKETS + 1 /* and the sum */
};

void kb_histogram_note(kb_counter *columns, uint64_t us);

struct kb_histogram {
	uint64_t buckets[KB_HISTOGRAM_BUCKETS];
	uint64_t count, sum_us;
};

/* Adds up the rows; first_column is that of the histogram. */
void kb_histogram_read(const struct kb_stats *stats, size_t first_column, struct kb_histogram *histogram);

/* The microseconds that `percent` of all values are not above, as exactly as the buckets tell; 0 when it is empty. */
uint64_t kb_histogram_percentile(const struct kb_histogram *histogram, unsigned percent);

/* The bucket that a value belongs to, and the least value of a bucket. */
size_t kb_histogram_bucket(uint64_t us);
uint64_t kb_histogram_least(size_t bucket);

#endif
