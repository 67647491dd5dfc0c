#include "nats/asked.h"

#include <stdint.h>
#include <stdlib.h>

struct entry {
	uint64_t subject; /* a hash of it; 0: none */
	char id[KB_UUID_SHORT_CHARS];
};

struct kb_nats_asked {
	size_t n, next; /* next: the oldest, to be replaced */
	struct entry entries[];
};

/* FNV-1a, never 0. */
static uint64_t hash_of(struct kb_slice subject)
{
	uint64_t hash = 14695981039346656037u;
	for (size_t i = 0; i < subject.n; i++)
		hash = (hash ^ (unsigned char)subject.p[i]) * 1099511628211u;
	return hash ? hash : 1;
}

struct kb_nats_asked *kb_nats_asked_create(size_t n)
{
	struct kb_nats_asked *asked = calloc(1, sizeof *asked + n * sizeof asked->entries[0]);
	if (asked)
		asked->n = n;
	return asked;
}

void kb_nats_asked_free(struct kb_nats_asked *asked)
{
	free(asked);
}

void kb_nats_asked_note(struct kb_nats_asked *asked, struct kb_slice subject, struct kb_slice id)
{
	struct entry *e = &asked->entries[asked->next];
	if (id.n != sizeof e->id)
		return;
	e->subject = hash_of(subject);
	memcpy(e->id, id.p, sizeof e->id);
	asked->next = (asked->next + 1) % asked->n;
}

void kb_nats_asked_end(
	struct kb_nats_asked *asked, struct kb_slice subject, void (*end)(void *context, struct kb_slice id), void *context)
{
	uint64_t hash = hash_of(subject);
	for (size_t i = 0; i < asked->n; i++) {
		struct entry *e = &asked->entries[(asked->next + i) % asked->n];
		if (e->subject != hash)
			continue;
		e->subject = 0;
		end(context, kb_slice(e->id, sizeof e->id));
	}
}
