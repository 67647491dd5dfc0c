/* Counters, histograms and lines of text between processes. */
#include "core/histogram.h"
#include "core/line.h"
#include "core/stats.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { PROCESSES = 3, COUNTS = 100000, COLUMNS = 2 + KB_HISTOGRAM_COLUMNS };

static void rows_are_summed(void)
{
	struct kb_stats *stats = kb_stats_create(PROCESSES, COLUMNS);
	CHECK(stats != NULL);
	for (size_t row = 0; row < PROCESSES; row++) {
		if (fork() != 0)
			continue;
		for (int i = 0; i < COUNTS; i++)
			kb_counter_add(&kb_stats_row(stats, row)[0], 1);
		kb_counter_add(&kb_stats_row(stats, row)[1], row);
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	CHECK(kb_stats_sum(stats, 0) == (uint64_t)PROCESSES * COUNTS);
	CHECK(kb_stats_sum(stats, 1) == 0 + 1 + 2);
	CHECK(kb_stats_sum(stats, 2) == 0);
	CHECK((uintptr_t)kb_stats_row(stats, 1) % 64 == 0); /* no process writes to the cache line of another */
	kb_stats_destroy(stats);
	kb_stats_destroy(NULL);
}

static void several_may_count_what_is_rare(void)
{
	struct kb_stats *stats = kb_stats_create(1, 1);
	for (int i = 0; i < PROCESSES; i++) {
		if (fork() != 0)
			continue;
		for (int n = 0; n < COUNTS; n++)
			kb_counter_add_among(kb_stats_row(stats, 0), 1);
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	CHECK(kb_stats_sum(stats, 0) == (uint64_t)PROCESSES * COUNTS);
	kb_stats_destroy(stats);
}

static void buckets_follow_each_other(void)
{
	for (size_t i = 0; i < KB_HISTOGRAM_BUCKETS; i++) {
		CHECK(kb_histogram_bucket(kb_histogram_least(i)) == i);
		CHECK(i == 0 || kb_histogram_bucket(kb_histogram_least(i) - 1) == i - 1);
		uint64_t least = kb_histogram_least(i), width = kb_histogram_least(i + 1) - least;
		CHECK(width == 1 || width * KB_HISTOGRAM_STEPS <= least);
	}
	CHECK(kb_histogram_bucket(UINT64_MAX) == KB_HISTOGRAM_BUCKETS - 1);
}

static int near(uint64_t value, uint64_t wanted)
{
	return value * 100 >= wanted * 90 && value * 100 <= wanted * 110;
}

static void percentiles(void)
{
	struct kb_stats *stats = kb_stats_create(2, COLUMNS);
	struct kb_histogram h;
	kb_histogram_read(stats, 2, &h);
	CHECK(h.count == 0 && kb_histogram_percentile(&h, 99) == 0);
	for (uint64_t us = 1; us <= 1000; us++) /* over two processes */
		kb_histogram_note(&kb_stats_row(stats, us % 2)[2], us);
	kb_histogram_read(stats, 2, &h);
	CHECK(h.count == 1000 && h.sum_us == 1000 * 1001 / 2);
	CHECK(near(kb_histogram_percentile(&h, 50), 500));
	CHECK(near(kb_histogram_percentile(&h, 90), 900));
	CHECK(near(kb_histogram_percentile(&h, 99), 990));
	CHECK(kb_stats_sum(stats, 0) == 0 && kb_stats_sum(stats, 1) == 0);
	kb_stats_destroy(stats);
}

static void lines(void)
{
	struct kb_line line = {0};
	char text[KB_LINE_BYTES], longer[2 * KB_LINE_BYTES];
	kb_line_get(&line, text);
	CHECK(strcmp(text, "") == 0);
	kb_line_set(&line, "a\nb\tc");
	kb_line_get(&line, text);
	CHECK(strcmp(text, "a b c") == 0);
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	kb_line_set(&line, longer);
	kb_line_get(&line, text);
	CHECK(strlen(text) == KB_LINE_BYTES - 1);
	kb_line_set(&line, NULL);
	kb_line_get(&line, text);
	CHECK(strcmp(text, "") == 0);
}

static int all_the_same(const char *text)
{
	return strspn(text, (char[]){text[0], '\0'}) == strlen(text);
}

static void a_reader_never_sees_parts_of_two_lines(void)
{
	struct kb_line *line = mmap(NULL, sizeof *line, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char text[KB_LINE_BYTES], filled[KB_LINE_BYTES] = {0};
	pid_t writer = fork();
	for (int i = 0; writer == 0 && i < COUNTS / 5; i++) {
		memset(filled, 'a' + i % 26, KB_LINE_BYTES - 1 - (size_t)(i % 200));
		filled[KB_LINE_BYTES - 1 - i % 200] = '\0';
		kb_line_set(line, filled);
		for (volatile int gap = 0; gap < 2000; gap++) /* a reader needs a moment in which nothing is written */
			;
	}
	if (writer == 0)
		_exit(0);
	int mixed = 0;
	while (waitpid(writer, NULL, WNOHANG) == 0) {
		kb_line_get(line, text);
		mixed += !all_the_same(text);
	}
	CHECK(mixed == 0);
	munmap(line, sizeof *line);
}

int main(void)
{
	rows_are_summed();
	several_may_count_what_is_rare();
	buckets_follow_each_other();
	percentiles();
	lines();
	a_reader_never_sees_parts_of_two_lines();
	return check_failures ? 1 : 0;
}
