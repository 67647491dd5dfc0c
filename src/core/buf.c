#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { FIRST_CAPACITY = 256, LARGE = 4 << 20 };

char *kb_buf_reserve(struct kb_buf *b, size_t more)
{
	if (b->failed || more > SIZE_MAX / 4 - b->n) {
		b->failed = true;
		return NULL;
	}
	if (b->n + more > b->capacity) {
		size_t capacity = b->capacity ? b->capacity : FIRST_CAPACITY;
		while (capacity < b->n + more)
			capacity *= 2;
		char *p = realloc(b->p, capacity);
		if (!p) {
			b->failed = true;
			return NULL;
		}
		b->p = p;
		b->capacity = capacity;
	}
	return b->p + b->n;
}

void kb_buf_append_slow(struct kb_buf *b, const void *bytes, size_t n)
{
	char *to = kb_buf_reserve(b, n);
	if (!to || n == 0)
		return;
	memcpy(to, bytes, n);
	b->n += n;
}

void kb_buf_printf(struct kb_buf *b, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	char *to = n < 0 ? NULL : kb_buf_reserve(b, (size_t)n + 1);
	if (to) {
		vsnprintf(to, (size_t)n + 1, format, again);
		b->n += (size_t)n;
	} else {
		b->failed = true;
	}
	va_end(again);
}

void kb_buf_spare(struct kb_buf *b)
{
	b->spared = b->n > KB_BUF_KEPT ? 0 : b->spared + 1;
	if (b->spared >= KB_BUF_USES)
		kb_buf_free(b);
}

void kb_buf_consume(struct kb_buf *b, size_t n)
{
	if (n == 0) /* the buffer may be without memory yet */
		return;
	if (n == b->n && !b->failed) {
		kb_buf_clear(b);
		return;
	}
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

/* Once a large block was freed, glibc keeps blocks up to its size in the heap, and up to twice that of free memory at
 * the end of the heap, for good. */
static void give_back_large(size_t capacity)
{
#ifdef __GLIBC__
	if (capacity >= LARGE)
		malloc_trim(0);
#else
	(void)capacity;
#endif
}

void kb_buf_free(struct kb_buf *b)
{
	size_t capacity = b->capacity;
	free(b->p);
	*b = (struct kb_buf){0};
	give_back_large(capacity);
}
