/* A growable byte buffer: the one place where the core allocates for data of unknown size. */
#ifndef KB_CORE_BUF_H
#define KB_CORE_BUF_H

#include <stdint.h>
#include "core/slice.h"

enum {
	KB_BUF_KEPT = 256 << 10, /* bytes of memory that an emptied buffer keeps for good */
	KB_BUF_USES = 64         /* uses in a row that need no more, after which it gives back what is above */
};

/* Zero-initialise to start empty. The code that declares it owns it and frees it with kb_buf_free(). */
struct kb_buf {
	char *p;
	size_t n;        /* bytes in use */
	size_t capacity; /* bytes allocated */
	bool failed;     /* an allocation failed: the contents are short and must not be used */
	uint32_t spared; /* uses in a row that needed at most KB_BUF_KEPT */
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

/* Removes the first n bytes, which must be there; removing all of them is the end of a use as in kb_buf_clear(). */
void kb_buf_consume(struct kb_buf *b, size_t n);

/* For a buffer with more memory than KB_BUF_KEPT, when a use of it ends: frees that memory after KB_BUF_USES such uses
 * in a row that did not need it. */
void kb_buf_spare(struct kb_buf *b);

/* Empties the buffer and keeps its memory for the next use; one that a single large message has made grow gives it back
 * some uses later. */
static inline void kb_buf_clear(struct kb_buf *b)
{
	if (b->capacity > KB_BUF_KEPT)
		kb_buf_spare(b);
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
