#include "core/headers.h"

static void add_sized(struct kb_buf *headers, struct kb_slice s)
{
	uint32_t n = (uint32_t)s.n;
	kb_buf_append(headers, &n, sizeof n);
	kb_buf_append_slice(headers, s);
}

void kb_headers_add(struct kb_buf *headers, struct kb_slice name, struct kb_slice value)
{
	add_sized(headers, name);
	add_sized(headers, value);
}

static bool take_sized(struct kb_slice *rest, struct kb_slice *s)
{
	uint32_t n;
	if (rest->n < sizeof n)
		return false;
	memcpy(&n, rest->p, sizeof n);
	if (n > rest->n - sizeof n)
		return false;
	*s = kb_slice(rest->p + sizeof n, n);
	*rest = kb_slice(rest->p + sizeof n + n, rest->n - sizeof n - n);
	return true;
}

bool kb_headers_next(struct kb_slice *rest, struct kb_slice *name, struct kb_slice *value)
{
	return take_sized(rest, name) && take_sized(rest, value);
}

struct kb_slice kb_headers_find(struct kb_slice headers, struct kb_slice name)
{
	struct kb_slice found, value;
	while (kb_headers_next(&headers, &found, &value))
		if (kb_slice_equal(found, name))
			return value;
	return kb_slice(NULL, 0);
}

static struct kb_slice trimmed(struct kb_slice s)
{
	while (s.n && s.p[0] == ' ')
		s = kb_slice(s.p + 1, s.n - 1);
	while (s.n && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}

bool kb_headers_parse(struct kb_slice text, struct kb_buf *headers, struct kb_slice *bad)
{
	while (text.n) {
		const char *end = memchr(text.p, ';', text.n);
		struct kb_slice item = kb_slice(text.p, end ? (size_t)(end - text.p) : text.n);
		text = end ? kb_slice(end + 1, text.n - item.n - 1) : kb_slice(NULL, 0);
		item = trimmed(item);
		if (item.n == 0)
			continue;
		const char *equals = memchr(item.p, '=', item.n);
		if (!equals || equals == item.p) {
			*bad = item;
			return false;
		}
		size_t name = (size_t)(equals - item.p);
		kb_headers_add(headers, trimmed(kb_slice(item.p, name)), trimmed(kb_slice(equals + 1, item.n - name - 1)));
	}
	return true;
}
