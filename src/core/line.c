#include "core/line.h"

#include <string.h>
#include <time.h>

enum { READ_TRIES = 200, READ_TRIES_AT_ONCE = 10, READ_PAUSE_NS = 1000000 };

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
static bool read_line(const struct kb_line *line, char *to)
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
