/* Sorts amqp_connection by zone; each zone is a failover list. */
#include "kamailio/kazoo/zones.h"

#include <core/dprint.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "amqp/address.h"
#include "kamailio/glue/settings.h"
#include "kamailio/kazoo/settings.h"

static struct kz_zone zones[KZ_ZONES_MAX];
static size_t n_zones;

size_t kz_zones(void)
{
	return n_zones;
}

const struct kz_zone *kz_zone(size_t index)
{
	return &zones[index < n_zones ? index : KZ_PRIMARY];
}

bool kz_zone_find(struct kb_slice name, size_t *index)
{
	for (*index = 0; *index < n_zones; ++*index)
		if (kb_slice_equal(kb_slice_from(zones[*index].name), name))
			return true;
	return false;
}

/* Finds the zone with this name, or adds it at the end of the list. */
static struct kz_zone *zone_named(struct kb_slice name)
{
	size_t index;
	if (kz_zone_find(name, &index))
		return &zones[index];
	struct kz_zone *zone = &zones[n_zones++];
	snprintf(zone->name, sizeof zone->name, "%.*s", (int)name.n, name.p);
	snprintf(zone->server_id_prefix, sizeof zone->server_id_prefix, "consumer://%.*s/", (int)name.n, name.p);
	return zone;
}

/* The name becomes part of routing keys, between slashes. */
static bool is_zone_name(struct kb_slice name)
{
	return name.n > 0 && name.n < KZ_ZONE_NAME_BYTES && !memchr(name.p, '/', name.n);
}

static void warn(const char *url, const struct kb_amqp_address *address)
{
	if (address->options.warning[0])
		LM_WARN("amqp_connection: \"%s\": %s\n", kb_settings_without_password(url), address->options.warning);
}

static bool add(size_t i)
{
	const struct kz_settings *s = kz_settings();
	struct kb_amqp_address address;
	const char *wrong = kb_amqp_address_parse(s->urls[i], &address);
	bool named = address.zone.p != NULL;
	struct kb_slice name = named ? address.zone : kb_slice_from(s->primary_zone);
	if (!wrong && !is_zone_name(name))
		wrong = "the zone name must have 1 to 63 bytes and no slash";
	if (wrong) {
		LM_ERR("amqp_connection: \"%s\" is invalid: %s\n", kb_settings_without_password(s->urls[i]), wrong);
	} else {
		struct kz_zone *zone = zone_named(name);
		zone->urls[zone->n_urls++] = s->urls[i];
		warn(s->urls[i], &address);
	}
	kb_amqp_address_free(&address);
	return !wrong;
}

static bool share_leads(void)
{
	_Atomic uint64_t *shared =
		mmap(NULL, n_zones * sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		LM_ERR("cannot allocate shared memory for %zu zones: %s\n", n_zones, strerror(errno));
		return false;
	}
	for (size_t i = 0; i < n_zones; i++)
		zones[i].lead = &shared[i];
	return true;
}

bool kz_zones_check(void)
{
	struct kb_slice primary = kb_slice_from(kz_settings()->primary_zone);
	if (!is_zone_name(primary)) {
		LM_ERR("amqp_primary_zone: \"%s\" must have 1 to 63 bytes and no slash\n", kz_settings()->primary_zone);
		return false;
	}
	zone_named(primary);
	for (size_t i = 0; i < kz_settings()->n_urls; i++)
		if (!add(i))
			return false;
	if (zones[KZ_PRIMARY].n_urls > 0)
		return share_leads();
	LM_ERR("amqp_primary_zone: no amqp_connection in zone \"%s\"\n", kz_settings()->primary_zone);
	return false;
}
