/*
 * Numbers that one process counts and others read, in shared memory.
 *
 * Each counter has one writer, so counting is a load and a store on a cache line of its own process: no lock, no atomic
 * read-modify-write. The reader adds up the rows, and may see a sum that is a few messages old.
 */
#ifndef KB_CORE_STATS_H
#define KB_CORE_STATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef _Atomic uint64_t kb_counter;

/* -- one counter -- */

static inline uint64_t kb_counted(const kb_counter *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline void kb_count_set(kb_counter *counter, uint64_t value)
{
	atomic_store_explicit(counter, value, memory_order_relaxed);
}

/* By the only writer. */
static inline void kb_count(kb_counter *counter, uint64_t n)
{
	kb_count_set(counter, kb_counted(counter) + n);
}

/* By one of several writers: for what is rare. */
static inline void kb_count_among(kb_counter *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* -- a table: a row of counters for each process -- */

struct kb_stats;

/* All zero. Call before any fork. NULL and errno on failure. */
struct kb_stats *kb_stats_create(size_t rows, size_t columns);
void kb_stats_destroy(struct kb_stats *stats); /* NULL is fine; the owner process only */

/* The counters of one process: an array of `columns`. */
kb_counter *kb_stats_row(struct kb_stats *stats, size_t row);
uint64_t kb_stats_sum(const struct kb_stats *stats, size_t column);

/* -- a histogram of microseconds: KB_HISTOGRAM_COLUMNS neighbouring counters of a row -- */

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
void kb_stats_histogram(const struct kb_stats *stats, size_t first_column, struct kb_histogram *histogram);

/* The microseconds that `percent` of all values are not above, as exactly as the buckets tell; 0 when it is empty. */
uint64_t kb_histogram_percentile(const struct kb_histogram *histogram, unsigned percent);

/* The bucket that a value belongs to, and the least value of a bucket. */
size_t kb_histogram_bucket(uint64_t us);
uint64_t kb_histogram_least(size_t bucket);

/* -- a line of text -- */

enum { KB_LINE_BYTES = 256 };

/* Zero-initialise: empty. One writer; a reader gets one text as it was set, not parts of two, as long as the writer
 * pauses now and then. */
struct kb_line {
	_Atomic uint32_t version; /* odd while it is being written */
	_Atomic uint64_t words[KB_LINE_BYTES / 8];
};

/* Cut to KB_LINE_BYTES - 1; control characters become blanks. text may be NULL: empty. */
void kb_line_set(struct kb_line *line, const char *text);

/* NUL-terminated. */
void kb_line_get(const struct kb_line *line, char to[KB_LINE_BYTES]);

#endif
