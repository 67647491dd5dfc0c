#include "core/message.h"

enum { PARTS = 6 };

struct flat {
	struct kb_origin origin;
	uint32_t sizes[PARTS];
	char bytes[];
};

static const struct kb_slice *part(const struct kb_message *m, int i)
{
	const struct kb_slice *const parts[PARTS] = {
		&m->exchange, &m->key, &m->reply, &m->headers, &m->properties, &m->payload};
	return parts[i];
}

size_t kb_message_size(const struct kb_message *m)
{
	size_t size = offsetof(struct flat, bytes);
	for (int i = 0; i < PARTS; i++)
		size += part(m, i)->n;
	return size;
}

void kb_message_encode(const struct kb_message *m, void *to)
{
	struct flat *flat = to;
	char *at = flat->bytes;
	flat->origin = m->origin;
	for (int i = 0; i < PARTS; i++) {
		const struct kb_slice *s = part(m, i);
		flat->sizes[i] = (uint32_t)s->n;
		if (s->n)
			memcpy(at, s->p, s->n);
		at += s->n;
	}
}

bool kb_message_decode(const void *from, size_t size, struct kb_message *m)
{
	const struct flat *flat = from;
	if (size < offsetof(struct flat, bytes))
		return false;
	size_t left = size - offsetof(struct flat, bytes);
	const char *at = flat->bytes;
	struct kb_slice *const parts[PARTS] = {&m->exchange, &m->key, &m->reply, &m->headers, &m->properties, &m->payload};
	for (int i = 0; i < PARTS; i++) {
		uint32_t n = flat->sizes[i];
		if (n > left)
			return false;
		*parts[i] = kb_slice(at, n);
		at += n;
		left -= n;
	}
	m->origin = flat->origin;
	return true;
}

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
