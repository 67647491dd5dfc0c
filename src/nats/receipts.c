#include "nats/receipts.h"

enum {
	PAUSE_MS = 5, /* between two PINGs while little is published */
	MANY = 1024   /* open messages, from which on one is sent without a pause */
};

void kb_nats_receipts_ping(struct kb_nats_receipts *r, struct kb_nats_link *link, bool at_once, int64_t now)
{
	if (r->ping || r->covered == r->next)
		return;
	if (!at_once && r->next - r->oldest < MANY && kb_nats_receipts_due_ms(r, now) > 0)
		return;
	kb_nats_link_ping(link);
	r->ping = link->pings;
	r->covered = r->next;
	r->pinged_ms = now;
}

int kb_nats_receipts_due_ms(const struct kb_nats_receipts *r, int64_t now)
{
	if (r->ping || r->covered == r->next)
		return -1;
	int64_t left = r->oldest < r->suspect ? 0 : r->pinged_ms + PAUSE_MS - now;
	return left > 0 ? (int)left : 0;
}

void kb_nats_receipts_heed(
	struct kb_nats_receipts *r, const struct kb_nats_link *link, const struct kb_broker_events *events)
{
	if (!r->ping || link->pongs < r->ping)
		return;
	r->ping = 0;
	r->oldest = r->covered;
	events->publish.settled(events->context, r->covered - 1, true, KB_DONE, NULL);
}

void kb_nats_receipts_offended(struct kb_nats_receipts *r)
{
	uint64_t end = r->next + (r->next - r->oldest); /* the end of their numbers when they are sent again */
	r->suspect = end > r->suspect ? end : r->suspect;
	kb_nats_receipts_forget(r);
}

void kb_nats_receipts_forget(struct kb_nats_receipts *r)
{
	r->oldest = r->covered = r->next;
	r->ping = 0;
}
