/* Log lines of the layers below Kamailio, handed to a sink that the layer above sets once per process. */
#ifndef KB_CORE_LOG_H
#define KB_CORE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum kb_log_level { KB_LOG_ERROR, KB_LOG_WARNING, KB_LOG_NOTICE, KB_LOG_INFO, KB_LOG_DEBUG };

/* line is NUL-terminated, without a newline, valid during the call; control characters are already replaced. */
typedef void (*kb_log_sink)(enum kb_log_level level, const char *line);

/* Without a sink lines go to standard error. */
void kb_log_set_sink(kb_log_sink sink);

void kb_log(enum kb_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One kind of line that hostile or broken input could repeat without end. Zero-initialise; one per reason and process.
 */
struct kb_log_limit {
	uint64_t count; /* how often it happened, logged or not */
	time_t last;    /* monotonic second of the last line written */
	time_t pause;   /* seconds between two lines; 0: one */
};

/* Whether the next line of `limit` will be written: for a caller that gathers its facts only then. */
bool kb_log_is_due(const struct kb_log_limit *limit);

/* Writes at most one line a second, or as `limit` says, with the count so far appended. */
void kb_log_limited(struct kb_log_limit *limit, enum kb_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
