/* Reads single values of a subscription's description. Each function that finds a value wrong calls
 * kz_description_values_refuse(), which is seen in `failed`, and returns something harmless. Strings are never freed:
 * subscriptions last as long as the server. */
#ifndef KB_KAMAILIO_KAZOO_DESCRIPTION_VALUES_H
#define KB_KAMAILIO_KAZOO_DESCRIPTION_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/json.h"

/* Where in the description the values are. */
struct kz_description_place {
	struct kb_slice json; /* the whole description, for log lines */
	const char *within;   /* the object being read, with a dot behind it; "" at the top */
	bool failed;
};

/* Sets `failed` and logs the field, its value and what would be right. Returns false. */
bool kz_description_values_refuse(
	struct kz_description_place *p, struct kb_slice field, struct kb_json_value value, const char *right);

/* A copy of a name for the broker: at most 255 bytes (short string of AMQP), none of them NUL. NULL when it is none. */
const char *kz_description_values_copy_name(struct kb_slice text);

/* A name; "" when it is wrong. */
const char *kz_description_values_name(
	struct kz_description_place *p, struct kb_slice field, struct kb_json_value value);

/* A boolean, or a number that is 0 or not; null is false. */
bool kz_description_values_flag(struct kz_description_place *p, struct kb_slice field, struct kb_json_value value);

/* An integer between 0 and 65535. */
uint16_t kz_description_values_count(struct kz_description_place *p, struct kb_slice field, struct kb_json_value value);

/* One name or an array of names, added to the list of *n names. */
struct kz_description_names {
	const char *const **names;
	size_t *n;
};
void kz_description_values_names(
	struct kz_description_place *p, struct kb_slice field, struct kb_json_value value, struct kz_description_names to);

/* Arguments of a queue or exchange, as strict JSON. NULL: none. */
const char *kz_description_values_arguments(
	struct kz_description_place *p, struct kb_slice field, struct kb_json_value value);

#endif
