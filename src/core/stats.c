#include "core/stats.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/assert.h"

enum { CACHE_LINE = 64, READ_TRIES = 200, READ_TRIES_AT_ONCE = 10, READ_PAUSE_NS = 1000000 };

/* -- the table -- */

struct kb_stats {
	size_t rows, stride, total_bytes; /* stride: counters from one row to the next */
	_Alignas(CACHE_LINE) kb_counter counters[];
};

struct kb_stats *kb_stats_create(size_t rows, size_t columns)
{
	size_t per_line = CACHE_LINE / sizeof(kb_counter), stride = (columns + per_line - 1) / per_line * per_line;
	size_t total = sizeof(struct kb_stats) + rows * stride * sizeof(kb_counter);
	struct kb_stats *stats = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stats == MAP_FAILED)
		return NULL;
	stats->rows = rows;
	stats->stride = stride;
	stats->total_bytes = total;
	return stats;
}

void kb_stats_destroy(struct kb_stats *stats)
{
	if (stats)
		munmap(stats, stats->total_bytes);
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
		sum += kb_counted(stats->counters + row * stats->stride + column);
	return sum;
}

/* -- the histogram -- */

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
	kb_count(&columns[kb_histogram_bucket(us)], 1);
	kb_count(&columns[KB_HISTOGRAM_BUCKETS], us);
}

void kb_stats_histogram(const struct kb_stats *stats, size_t first_column, struct kb_histogram *histogram)
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

/* -- lines -- */

void kb_line_set(struct kb_line *line, const char *text)
{
	uint64_t words[KB_LINE_BYTES / 8] = {0};
	char *bytes = (char *)words;
	for (size_t i = 0; text && text[i] && i < KB_LINE_BYTES - 1; i++)
		bytes[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i];
	uint32_t version = atomic_load_explicit(&line->version, memory_order_relaxed);
	atomic_store_explicit(&line->version, version | 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (size_t i = 0; i < KB_LINE_BYTES / 8; i++)
		atomic_store_explicit(&line->words[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&line->version, (version | 1) + 1, memory_order_release);
}

/* False: it was being written meanwhile. */
static int read_line(const struct kb_line *line, char *to)
{
	uint64_t words[KB_LINE_BYTES / 8];
	uint32_t before = atomic_load_explicit(&line->version, memory_order_acquire);
	for (size_t i = 0; i < KB_LINE_BYTES / 8; i++)
		words[i] = atomic_load_explicit(&line->words[i], memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	memcpy(to, words, sizeof words);
	to[KB_LINE_BYTES - 1] = '\0';
	return !(before & 1) && atomic_load_explicit(&line->version, memory_order_relaxed) == before;
}

void kb_line_get(const struct kb_line *line, char to[KB_LINE_BYTES])
{
	/* A writer that lost its core in the middle gets it back; one that died leaves what it had got to: better than
	 * nothing. */
	for (int i = 0; i < READ_TRIES && !read_line(line, to); i++)
		nanosleep(&(struct timespec){0, i < READ_TRIES_AT_ONCE ? 0 : READ_PAUSE_NS}, NULL);
}
