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
