/* Private to json*.c: an object that is being written keeps one member for each key, the last. Most readers take the
 * last of equal keys and some the first, so strict JSON must not have two. */
#ifndef KB_CORE_JSON_UNIQUE_H
#define KB_CORE_JSON_UNIQUE_H

#include "core/json_scan.h"

enum { KB_JSON_UNIQUE_FEW = 128 };

/* The keys of one object, as far as is needed to know that no two are equal. Set n and suspect to 0. */
struct kb_json_unique {
	uint32_t n;
	bool suspect; /* two may be equal */
	uint32_t seen[KB_JSON_UNIQUE_FEW];
};

/* The two keys that this maps to one number are looked at byte by byte later: it has to be cheap more than good. */
static inline uint32_t kb_json_unique_digest(struct kb_slice raw)
{
	uint64_t first = 0, last = 0;
	size_t n = raw.n < sizeof first ? raw.n : sizeof first;
	memcpy(&first, raw.p, n);
	memcpy(&last, raw.p + raw.n - n, n);
	uint64_t mixed = (first ^ raw.n) * 0x9e3779b97f4a7c15u + last;
	return (uint32_t)((mixed * 0xd6e8feb86659fd93u) >> 32);
}

/* Notes the key that was written last, colon and all, at `at`; `escaped`: there was an escape in it. */
static inline void kb_json_unique_note(struct kb_json_unique *u, const struct kb_buf *out, size_t at, bool escaped)
{
	if (out->failed)
		return;
	uint32_t digest = kb_json_unique_digest(kb_slice(out->p + at, out->n - at));
	bool equal = escaped || u->n == KB_JSON_UNIQUE_FEW;
	for (uint32_t i = 0; i < u->n; i++)
		equal |= u->seen[i] == digest;
	if (u->n < KB_JSON_UNIQUE_FEW)
		u->seen[u->n++] = digest;
	u->suspect |= equal;
}

/* The object that fills out->p from `from` on, strict JSON without blanks, loses all but the last member of each key;
 * the scan notes it. Without memory it stays as it is. */
void kb_json_unique_keep_last(struct kb_json_scan *s, struct kb_buf *out, size_t from);

#endif
