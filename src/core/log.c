#include "core/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE_MAX_BYTES = 1024 };

static void write_to_stderr(enum kb_log_level level, const char *line)
{
	static const char *const names[] = {"error", "warning", "notice", "info", "debug"};
	fprintf(stderr, "kemibus %s: %s\n", names[level], line);
}

static kb_log_sink current_sink = write_to_stderr;

void kb_log_set_sink(kb_log_sink sink)
{
	current_sink = sink ? sink : write_to_stderr;
}

/* A line may hold bytes from the bus, which must not start a line of their own. */
static void write_line(enum kb_log_level level, char *line)
{
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	current_sink(level, line);
}

void kb_log(enum kb_log_level level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	write_line(level, line);
}

static time_t now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec;
}

bool kb_log_is_due(const struct kb_log_limit *limit)
{
	return limit->count == 0 || now_s() - limit->last >= (limit->pause ? limit->pause : 1);
}

void kb_log_limited(struct kb_log_limit *limit, enum kb_log_level level, const char *format, ...)
{
	bool due = kb_log_is_due(limit);
	limit->count++;
	if (!due)
		return;
	limit->last = now_s();

	char line[LINE_MAX_BYTES];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	size_t used = n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
	snprintf(line + used, sizeof line - used, " (%" PRIu64 " so far)", limit->count);
	write_line(level, line);
}
