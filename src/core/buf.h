/* A growable byte buffer: the one place where the core allocates for data of unknown size. */
#ifndef KB_CORE_BUF_H
#define KB_CORE_BUF_H

#include <stdint.h>
#include "core/slice.h"

/* Zero-initialise to start empty. Owned by whoever declares it; kb_buf_free() ends it. */
struct kb_buf {
	char *p;
	size_t n;        /* bytes in use */
	size_t capacity; /* bytes allocated */
	bool failed;     /* an allocation failed: the contents are short and must not be used */
};

/* Room for `more` bytes behind the contents. NULL (and b->failed) when memory is out.
 * The pointer goes stale with the next call that grows the buffer. */
char *kb_buf_reserve(struct kb_buf *b, size_t more);

/* kb_buf_append() for when there is no room yet. */
void kb_buf_append_slow(struct kb_buf *b, const void *bytes, size_t n);

/* Inline because JSON is written in pieces of a few bytes. */
static inline void kb_buf_append(struct kb_buf *b, const void *bytes, size_t n)
{
	if (b->failed || n > b->capacity - b->n) {
		kb_buf_append_slow(b, bytes, n);
	} else if (n) {
		memcpy(b->p + b->n, bytes, n);
		b->n += n;
	}
}

static inline void kb_buf_append_byte(struct kb_buf *b, char byte)
{
	kb_buf_append(b, &byte, 1);
}

void kb_buf_printf(struct kb_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first n bytes, which must be there. */
void kb_buf_consume(struct kb_buf *b, size_t n);

/* Empties the buffer and keeps its memory for the next use. */
static inline void kb_buf_clear(struct kb_buf *b)
{
	b->n = 0;
	b->failed = false;
}

static inline void kb_buf_append_slice(struct kb_buf *b, struct kb_slice s)
{
	kb_buf_append(b, s.p, s.n);
}

static inline struct kb_slice kb_buf_slice(const struct kb_buf *b)
{
	return (struct kb_slice){b->p, b->n};
}

void kb_buf_free(struct kb_buf *b);

#endif
