#include "bus/delivery.h"

bool kb_delivery_settle(struct kb_delivery *d, enum kb_outcome outcome, unsigned delay_ms)
{
	if (!d->open)
		return false;
	d->open = false;
	return d->api->settle_now && d->api->settle_now(d->broker, d->origin, outcome, delay_ms) == KB_BROKER_OK;
}

bool kb_delivery_is_open(const struct kb_delivery *d)
{
	return d->open;
}

bool kb_delivery_progress(struct kb_delivery *d)
{
	return d->open && d->api->progress && d->api->progress(d->broker, d->origin) == KB_BROKER_OK;
}
