/* Reads single values of a subscription's description, as leniently as Debian's module (5.6.3), which takes text for
 * numbers, numbers for text, and null for a field that is absent. Where that reading is hardly what was meant there is
 * a warning. A function that finds a value of no use calls kz_description_values_refuse() and returns a harmless value;
 * callers check `failed`. Strings are never freed: subscriptions last as long as the server. */
#ifndef KB_KAMAILIO_KAZOO_DESCRIPTION_VALUES_H
#define KB_KAMAILIO_KAZOO_DESCRIPTION_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/json.h"

/* Where in the description the values are. */
struct kz_description_place {
	struct kb_slice json; /* the whole description, for log lines */
	const char *within;   /* the object being read, followed by a dot; "" at the top */
	bool failed;
};

/* Sets `failed` and logs the field, its value and a right value. Returns false. */
bool kz_description_values_refuse(
	struct kz_description_place *p, struct kb_slice field, struct kb_json_value value, const char *right);

/* Copies a name for the broker: at most 255 bytes (a short string of AMQP) without NUL. NULL when the text is not such
 * a name. */
const char *kz_description_values_copy_name(struct kb_slice text);

/* Logs a warning of the field, its value and how it is read. */
void kz_description_values_warn(
	const struct kz_description_place *p, struct kb_slice field, struct kb_json_value value, const char *read_as);

/* A name: the contents of a string, the text of anything else. "" for null, and when it is wrong. */
const char *kz_description_values_name(
	struct kz_description_place *p, struct kb_slice field, struct kb_json_value value);

/* A boolean, or a number whose whole part is 0 or not, each as text too. Anything else is false. */
bool kz_description_values_flag(struct kz_description_place *p, struct kb_slice field, struct kb_json_value value);

/* An integer between 0 and 65535, or its text. */
uint16_t kz_description_values_count(struct kz_description_place *p, struct kb_slice field, struct kb_json_value value);

/* Adds one name, or each name of an array, to a list that *n counts. What is neither a string nor an array is the empty
 * name, and so is an empty array. */
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
