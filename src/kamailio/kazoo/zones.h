/* Zones: groups of brokers. A message goes to one zone, or comes from one. */
#ifndef KB_KAMAILIO_KAZOO_ZONES_H
#define KB_KAMAILIO_KAZOO_ZONES_H

#include <stdbool.h>

#include "core/slice.h"
#include "kamailio/kazoo/settings.h"

enum {
	KZ_ZONES_MAX = KZ_URLS_MAX + 1, /* one more: the primary zone has an entry even when no address names it */
	KZ_ZONE_NAME_BYTES = 64,
	KZ_PRIMARY = 0 /* index of the primary zone */
};

struct kz_zone {
	char name[KZ_ZONE_NAME_BYTES];
	char server_id_prefix[KZ_ZONE_NAME_BYTES + 16]; /* consumer://NAME/ */
	const char *urls[KZ_URLS_MAX];                  /* failover list */
	size_t n_urls;
	_Atomic uint64_t *lead; /* to the address where its processes are, in memory that they share (amqp/broker.h) */
};

/* In mod_init, after kz_settings_check(): sorts the addresses. False and a log line. */
bool kz_zones_check(void);

/* The number of zones; the primary one is KZ_PRIMARY. */
size_t kz_zones(void);

/* By index, which is kb_origin.broker; the primary zone for an index that is out of range. */
const struct kz_zone *kz_zone(size_t index);

/* False when no zone has this name. */
bool kz_zone_find(struct kb_slice name, size_t *index);

#endif
