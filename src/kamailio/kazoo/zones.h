/* Zones: groups of brokers, of which each message goes to one or comes from one. */
#ifndef KB_KAMAILIO_KAZOO_ZONES_H
#define KB_KAMAILIO_KAZOO_ZONES_H

#include <stdbool.h>

#include "core/slice.h"
#include "kamailio/kazoo/settings.h"

enum {
	KZ_ZONES_MAX = KZ_URLS_MAX + 1, /* the primary one may be empty until that is found out */
	KZ_ZONE_NAME_BYTES = 64,
	KZ_PRIMARY = 0 /* index of the primary zone */
};

struct kz_zone {
	char name[KZ_ZONE_NAME_BYTES];
	char server_id_prefix[KZ_ZONE_NAME_BYTES + 16]; /* consumer://NAME/ */
	const char *urls[KZ_URLS_MAX];                  /* failover list */
	size_t n_urls;
	_Atomic uint32_t *address; /* which of them its processes are connected to, in memory that they share */
};

/* In mod_init, after the settings are checked: false and a log line. */
bool kz_zones_check(void);

size_t kz_zones(void);
const struct kz_zone *kz_zone(size_t index); /* the index is kb_origin.broker */
bool kz_zone_find(struct kb_slice name, size_t *index);

#endif
