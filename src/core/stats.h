/*
 * A table of counters in shared memory: a row for each process.
 *
 * Each counter has one writer, on a cache line of its own process. The reader adds up the rows, and may see a sum that
 * is a few messages old.
 */
#ifndef KB_CORE_STATS_H
#define KB_CORE_STATS_H

#include <stddef.h>
#include "core/counter.h"

struct kb_stats;

/* All zero. Call before any fork. NULL and errno on failure. */
struct kb_stats *kb_stats_create(size_t rows, size_t columns);
void kb_stats_destroy(struct kb_stats *stats); /* NULL is fine; the owner process only */

/* The counters of one process: an array of `columns`. */
kb_counter *kb_stats_row(struct kb_stats *stats, size_t row);
uint64_t kb_stats_sum(const struct kb_stats *stats, size_t column);

#endif
