#include "bus/retry.h"

bool kb_retry_refused(struct kb_retry *r, int64_t now, int64_t patience_ms)
{
	/* While nothing is sent, or one message alone, that there was no refusal says nothing. */
	if (!r->held && !r->probing && now - r->last_at > patience_ms)
		r->first_at = 0;
	r->last_at = now;
	if (!r->first_at) {
		r->first_at = now;
		r->pause_ms = 0;
	}
	if (patience_ms != KB_RETRY_FOR_EVER && now - r->first_at >= patience_ms) {
		r->probing = false; /* and what was refused before its time was up is held still */
		return false;
	}
	if (!r->held) {
		int doubled = r->pause_ms ? r->pause_ms * 2 : KB_RETRY_FIRST_MS;
		r->pause_ms = doubled > KB_RETRY_MAX_MS ? KB_RETRY_MAX_MS : doubled;
		r->resume_at = now + r->pause_ms;
		r->held = true;
		r->probing = false;
	}
	return true;
}

void kb_retry_confirmed(struct kb_retry *r)
{
	if (r->probing)
		*r = (struct kb_retry){0};
}

void kb_retry_resume(struct kb_retry *r)
{
	r->probing = r->probing || r->held;
	r->held = false;
}
