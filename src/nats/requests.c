#include "nats/requests.h"

#include <stdlib.h>

struct entry {
	uint64_t subject; /* its hash; 0: none */
	char id[KB_REPLY_ID_WORD_CHARS];
};

struct kb_nats_requests {
	size_t n, next; /* next: the oldest, to be replaced */
	struct entry entries[];
};

struct kb_nats_requests *kb_nats_requests_create(size_t n)
{
	struct kb_nats_requests *requests = calloc(1, sizeof *requests + n * sizeof requests->entries[0]);
	if (requests)
		requests->n = n;
	return requests;
}

void kb_nats_requests_free(struct kb_nats_requests *requests)
{
	free(requests);
}

void kb_nats_requests_note(struct kb_nats_requests *requests, struct kb_slice subject, struct kb_slice id)
{
	struct entry *e = &requests->entries[requests->next];
	if (id.n != sizeof e->id)
		return;
	e->subject = kb_slice_hash(subject);
	memcpy(e->id, id.p, sizeof e->id);
	requests->next = (requests->next + 1) % requests->n;
}

void kb_nats_requests_end(struct kb_nats_requests *requests, struct kb_slice subject,
	void (*end)(void *context, struct kb_slice id), void *context)
{
	uint64_t hash = kb_slice_hash(subject);
	for (size_t i = 0; i < requests->n; i++) {
		struct entry *e = &requests->entries[(requests->next + i) % requests->n];
		if (e->subject != hash)
			continue;
		e->subject = 0;
		end(context, kb_slice(e->id, sizeof e->id));
	}
}
