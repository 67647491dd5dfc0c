/* Reads the JSON that describes a subscription (kazoo manual 5.1.4) into the form that the broker layer takes. */
#ifndef KB_KAMAILIO_KAZOO_DESCRIPTION_H
#define KB_KAMAILIO_KAZOO_DESCRIPTION_H

#include "bus/subscription.h"
#include "core/slice.h"

/* Fills *s, defaults included. False and a log line that names the field, its value and a right value. Strings are
 * never freed: subscriptions last as long as the server. */
bool kz_description_read(struct kb_slice json, struct kb_subscription *s);

#endif
