#include "core/json_unique.h"

#include <stdlib.h>

/* A member of the written object. */
struct member {
	size_t start, end; /* in the text, without commas */
	size_t key, key_n; /* the decoded key among those of all */
	bool dropped;
};

struct members {
	struct member *list;
	size_t n, room;
	struct kb_buf keys;
	bool failed;
};

/* -- moving through what was written: strict JSON without blanks -- */

static const char *skip_string(const char *p)
{
	for (p++; *p != '"'; p++)
		if (*p == '\\')
			p++;
	return p + 1;
}

/* The comma or bracket behind the value at p. */
static const char *skip_value(const char *p)
{
	for (int depth = 0;; p++) {
		while (*p == '"')
			p = skip_string(p);
		if (depth == 0 && (*p == ',' || *p == '}'))
			return p;
		depth += *p == '{' || *p == '[' ? 1 : *p == '}' || *p == ']' ? -1 : 0;
	}
}

static void append_decoded(struct kb_slice contents, struct kb_buf *keys)
{
	struct kb_json_scan s = kb_json_scan_of(contents);
	while (s.p < s.end) {
		char bytes[4];
		if (kb_json_scan_take(&s, '\\'))
			kb_buf_append(keys, bytes, kb_json_scan_escape(&s, bytes));
		else
			kb_buf_append_byte(keys, *s.p++);
	}
}

/* -- the list -- */

static struct member *add(struct members *m)
{
	if (m->n == m->room) {
		size_t room = m->room ? 2 * m->room : 64;
		struct member *more = realloc(m->list, room * sizeof *more);
		if (!more)
			return NULL;
		m->list = more;
		m->room = room;
	}
	return &m->list[m->n++];
}

static void read_members(struct members *m, const char *text)
{
	for (const char *p = text; *p != '}' && p[1] != '}';) {
		struct member *member = add(m);
		if (!member) {
			m->failed = true;
			return;
		}
		const char *start = ++p, *colon = skip_string(start), *end = skip_value(colon + 1);
		*member = (struct member){(size_t)(start - text), (size_t)(end - text), m->keys.n, 0, false};
		append_decoded(kb_slice(start + 1, (size_t)(colon - start) - 2), &m->keys);
		member->key_n = m->keys.n - member->key;
		p = end;
	}
	m->failed |= m->keys.failed;
}

static int compare_keys(const struct kb_buf *keys, const struct member *a, const struct member *b)
{
	size_t n = a->key_n < b->key_n ? a->key_n : b->key_n;
	int order = n ? memcmp(keys->p + a->key, keys->p + b->key, n) : 0;
	return order ? order : (a->key_n > b->key_n) - (a->key_n < b->key_n);
}

/* By key, and those with one key in the order of the text. */
static int compare(const void *left, const void *right, void *keys)
{
	const struct member *a = *(const struct member *const *)left, *b = *(const struct member *const *)right;
	int order = compare_keys(keys, a, b);
	return order ? order : (a->start > b->start) - (a->start < b->start);
}

/* Marks all but the last of equal keys. True when there are any. */
static bool mark_dropped(struct members *m)
{
	bool any = false;
	struct member **sorted = malloc(m->n * sizeof *sorted + 1);
	for (size_t i = 0; sorted && i < m->n; i++)
		sorted[i] = &m->list[i];
	if (sorted)
		qsort_r(sorted, m->n, sizeof *sorted, compare, &m->keys);
	for (size_t i = 1; sorted && i < m->n; i++)
		if (compare_keys(&m->keys, sorted[i - 1], sorted[i]) == 0)
			any = sorted[i - 1]->dropped = true;
	free(sorted);
	return any;
}

/* Moves the members that stay together; the number of bytes that the object has then. */
static size_t close_gaps(const struct members *m, char *text)
{
	size_t n = 1;
	for (size_t i = 0; i < m->n; i++) {
		const struct member *member = &m->list[i];
		if (member->dropped)
			continue;
		if (n > 1)
			text[n++] = ',';
		memmove(text + n, text + member->start, member->end - member->start);
		n += member->end - member->start;
	}
	text[n++] = '}';
	return n;
}

void kb_json_unique_keep_last(struct kb_json_scan *s, struct kb_buf *out, size_t from)
{
	struct members m = {0};
	if (!out->failed)
		read_members(&m, out->p + from);
	if (!m.failed && m.n && mark_dropped(&m)) {
		kb_json_scan_lose(s, "repeated key removed, its last value is sent", s->p);
		out->n = from + close_gaps(&m, out->p + from);
	}
	free(m.list);
	kb_buf_free(&m.keys);
}
