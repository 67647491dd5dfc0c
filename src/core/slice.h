/* A view of bytes owned by someone else: a pointer and a length, never a NUL-terminated string. */
#ifndef KB_CORE_SLICE_H
#define KB_CORE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct kb_slice {
	const char *p; /* borrowed; may be NULL when n is 0 */
	size_t n;      /* bytes */
};

#define KB_SLICE_LITERAL(text) ((struct kb_slice){(text), sizeof(text) - 1})

static inline struct kb_slice kb_slice(const void *p, size_t n)
{
	return (struct kb_slice){p, n};
}

/* text may be NULL: the empty slice. */
static inline struct kb_slice kb_slice_from(const char *text)
{
	return (struct kb_slice){text, text ? strlen(text) : 0};
}

static inline bool kb_slice_equal(struct kb_slice a, struct kb_slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* FNV-1a, and never 0. */
static inline uint64_t kb_slice_hash(struct kb_slice s)
{
	uint64_t hash = 14695981039346656037u;
	for (size_t i = 0; i < s.n; i++)
		hash = (hash ^ (unsigned char)s.p[i]) * 1099511628211u;
	return hash ? hash : 1;
}

/* Both arguments of a printf "%.*s"; logs show at most 200 bytes of what came from outside. */
#define KB_SLICE_FMT(s) (int)((s).n > 200 ? 200 : (s).n), ((s).p ? (s).p : "")

#endif
