#include "core/stats.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "core/assert.h"

enum { CACHE_LINE = 64 };

/* Each process has a copy of this from the fork: what others write cannot change where it looks. */
struct kb_stats {
	size_t rows, stride, total_bytes; /* stride: counters from one row to the next */
	kb_counter *counters;
};

struct kb_stats *kb_stats_create(size_t rows, size_t columns)
{
	size_t per_line = CACHE_LINE / sizeof(kb_counter), stride = (columns + per_line - 1) / per_line * per_line;
	size_t total = rows * stride * sizeof(kb_counter);
	struct kb_stats *stats = malloc(sizeof *stats);
	kb_counter *counters = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stats && counters != MAP_FAILED) {
		*stats = (struct kb_stats){rows, stride, total, counters};
		return stats;
	}
	if (counters != MAP_FAILED)
		munmap(counters, total);
	free(stats);
	return NULL;
}

void kb_stats_destroy(struct kb_stats *stats)
{
	if (stats)
		munmap(stats->counters, stats->total_bytes);
	free(stats);
}

kb_counter *kb_stats_row(struct kb_stats *stats, size_t row)
{
	kb_require(row < stats->rows);
	return stats->counters + row * stats->stride;
}

uint64_t kb_stats_sum(const struct kb_stats *stats, size_t column)
{
	uint64_t sum = 0;
	kb_require(column < stats->stride);
	for (size_t row = 0; row < stats->rows; row++)
		sum += kb_counter_get(stats->counters + row * stats->stride + column);
	return sum;
}
