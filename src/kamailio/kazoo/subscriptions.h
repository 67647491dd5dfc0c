/* The subscriptions of the configuration. */
#ifndef KB_KAMAILIO_KAZOO_SUBSCRIPTIONS_H
#define KB_KAMAILIO_KAZOO_SUBSCRIPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "bus/subscription.h"
#include "core/slice.h"

/* Returns the list. It is filled in the main process while kazoo:mod-init runs; processes forked later inherit it and
 * never change it. */
const struct kb_subscription *kz_subscriptions(size_t *count);

/* Adds the subscription that a JSON text describes (description.h). False and a log line. */
bool kz_subscriptions_add(struct kb_slice json);

#endif
