#include "kamailio/kazoo/subscriptions.h"

#include <core/dprint.h>

#include <stdlib.h>

#include "kamailio/kazoo/description.h"

static struct kb_subscription *subscriptions;
static size_t n_subscriptions;

const struct kb_subscription *kz_subscriptions(size_t *count)
{
	*count = n_subscriptions;
	return subscriptions;
}

/* The new entry counts only once it is complete. */
bool kz_subscriptions_add(struct kb_slice json)
{
	struct kb_subscription *more = realloc(subscriptions, (n_subscriptions + 1) * sizeof *more);
	if (!more) {
		LM_ERR("kazoo_subscribe: out of memory\n");
		return false;
	}
	subscriptions = more;
	if (!kz_description_read(json, &more[n_subscriptions]))
		return false;
	n_subscriptions++;
	return true;
}
