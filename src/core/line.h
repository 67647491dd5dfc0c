/* A line of text in shared memory, set by one process and read by others. */
#ifndef KB_CORE_LINE_H
#define KB_CORE_LINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

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
