/* The clock and the processor time of the benchmark's programs, in seconds. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <sys/resource.h>
#include <time.h>

static inline double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* User's and kernel's, of this process (RUSAGE_SELF) or of its children that have ended (RUSAGE_CHILDREN). */
static inline double cpu_s(int who)
{
	struct rusage usage;
	getrusage(who, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

#endif
