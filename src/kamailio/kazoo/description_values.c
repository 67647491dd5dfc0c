#include "kamailio/kazoo/description_values.h"

#include <core/dprint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/json_rewrite.h"
#include "core/number.h"
#include "core/routing_key.h"

enum { ARGUMENTS_MAX = 60000 /* bytes: they must fit into one frame */ };

bool kz_description_values_refuse(
	struct kz_description_place *p, struct kb_slice field, struct kb_json_value value, const char *right)
{
	LM_ERR("kazoo_subscribe: %s%.*s: %.*s must be %s, in %.*s\n", p->within, KB_SLICE_FMT(field),
		KB_SLICE_FMT(value.raw), right, KB_SLICE_FMT(p->json));
	p->failed = true;
	return false;
}

const char *kz_description_values_copy_name(struct kb_slice text)
{
	bool good = text.n <= KB_ROUTING_KEY_MAX && (text.n == 0 || !memchr(text.p, '\0', text.n));
	return good ? strndup(text.n ? text.p : "", text.n) : NULL;
}

void kz_description_values_warn(
	const struct kz_description_place *p, struct kb_slice field, struct kb_json_value value, const char *read_as)
{
	LM_WARN("kazoo_subscribe: %s%.*s: %.*s is read as %s, in %.*s\n", p->within, KB_SLICE_FMT(field),
		KB_SLICE_FMT(value.raw), read_as, KB_SLICE_FMT(p->json));
}

static bool is_container(struct kb_json_value value)
{
	return value.type == KB_JSON_ARRAY || value.type == KB_JSON_OBJECT;
}

const char *kz_description_values_name(
	struct kz_description_place *p, struct kb_slice field, struct kb_json_value value)
{
	struct kb_buf text = {0};
	if (value.type == KB_JSON_NULL)
		return "";
	kb_json_text(value, &text);
	const char *name = text.failed ? NULL : kz_description_values_copy_name(kb_buf_slice(&text));
	kb_buf_free(&text);
	if (!name)
		kz_description_values_refuse(p, field, value, "a string of at most 255 bytes");
	else if (is_container(value))
		kz_description_values_warn(p, field, value, "the text of it");
	return name ? name : "";
}

/* As json-c makes a number of text, and the word true, which it takes for 0. */
static bool is_true_text(const char *text, bool *understood)
{
	char *end;
	bool yes = strcasecmp(text, "true") == 0;
	long long whole = strtoll(text, &end, 10);
	*understood = yes || end > text || !text[0] || strcasecmp(text, "false") == 0;
	return yes || whole != 0;
}

static bool flag_of_text(struct kz_description_place *p, struct kb_slice field, struct kb_json_value value)
{
	char text[32] = "";
	struct kb_buf whole = {0};
	bool understood;
	kb_json_text(value, &whole);
	snprintf(text, sizeof text, "%.*s", (int)whole.n, whole.p ? whole.p : "");
	kb_buf_free(&whole);
	bool yes = is_true_text(text, &understood);
	if (!understood)
		kz_description_values_warn(p, field, value, "false");
	return yes;
}

static bool is_true_number(struct kb_slice raw)
{
	char text[64];
	snprintf(text, sizeof text, "%.*s", (int)(raw.n < sizeof text ? raw.n : sizeof text - 1), raw.p);
	double number = strtod(text, NULL);
	return number >= 1 || number <= -1;
}

bool kz_description_values_flag(struct kz_description_place *p, struct kb_slice field, struct kb_json_value value)
{
	if (value.type == KB_JSON_STRING)
		return flag_of_text(p, field, value);
	if (is_container(value))
		kz_description_values_warn(p, field, value, "false");
	return value.type == KB_JSON_TRUE || (value.type == KB_JSON_NUMBER && is_true_number(value.raw));
}

/* True when the broker layer can send it as an integer of 64 bits. */
static bool is_integer(struct kb_json_value value)
{
	int64_t number;
	return value.type == KB_JSON_NUMBER && kb_number_read_signed(value.raw, INT64_MAX, &number);
}

uint16_t kz_description_values_count(struct kz_description_place *p, struct kb_slice field, struct kb_json_value value)
{
	uint64_t number = 0;
	struct kb_buf text = {0};
	if (value.type != KB_JSON_NULL)
		kb_json_text(value, &text);
	bool good = value.type == KB_JSON_NULL || kb_number_read(kb_buf_slice(&text), UINT16_MAX, &number);
	kb_buf_free(&text);
	if (!good)
		kz_description_values_refuse(p, field, value, "an integer between 0 and 65535");
	return good ? (uint16_t)number : 0;
}

struct name_list {
	struct kz_description_place *place;
	struct kb_slice field;
	struct kz_description_names to;
};

static bool add_name(const struct name_list *list, struct kb_json_value value, const char *name)
{
	const char **more = realloc((void *)*list->to.names, (*list->to.n + 1) * sizeof *more);
	if (!more)
		return kz_description_values_refuse(list->place, list->field, value, "shorter: out of memory");
	*list->to.names = more;
	more[(*list->to.n)++] = name;
	return !list->place->failed;
}

static bool add_item(void *context, struct kb_slice key, struct kb_json_value value)
{
	const struct name_list *list = context;
	(void)key;
	if (value.type == KB_JSON_NULL) {
		kz_description_values_warn(list->place, list->field, value, "no routing key");
		return true;
	}
	return add_name(list, value, kz_description_values_name(list->place, list->field, value));
}

void kz_description_values_names(
	struct kz_description_place *p, struct kb_slice field, struct kb_json_value value, struct kz_description_names to)
{
	struct name_list list = {p, field, to};
	if (value.type == KB_JSON_ARRAY && kb_json_count(value) > 0) {
		kb_json_each(value.raw, add_item, &list);
		return;
	}
	bool is_text = value.type == KB_JSON_STRING;
	if (!is_text && value.type != KB_JSON_NULL && value.type != KB_JSON_NONE && value.type != KB_JSON_ARRAY)
		kz_description_values_warn(p, field, value, "the empty routing key");
	add_name(&list, value, is_text ? kz_description_values_name(p, field, value) : "");
}

static bool check_argument(void *context, struct kb_slice name, struct kb_json_value value)
{
	struct kz_description_place *p = context;
	if (name.n > KB_ROUTING_KEY_MAX)
		return kz_description_values_refuse(
			p, KB_SLICE_LITERAL("arguments"), value, "under a name of at most 255 bytes");
	if (value.type == KB_JSON_TRUE || value.type == KB_JSON_FALSE || value.type == KB_JSON_STRING || is_integer(value))
		return true;
	if (value.type == KB_JSON_OBJECT)
		return kb_json_each(value.raw, check_argument, p) && !p->failed;
	char field[300];
	int n = snprintf(field, sizeof field, "arguments.%.*s", KB_SLICE_FMT(name));
	return kz_description_values_refuse(
		p, kb_slice(field, (size_t)n), value, "a 64-bit integer, a boolean, a string or an object");
}

/* Strict JSON, from which the broker layer makes the form of its protocol. */
const char *kz_description_values_arguments(
	struct kz_description_place *p, struct kb_slice field, struct kb_json_value value)
{
	struct kb_buf text = {0};
	struct kb_json_error error;
	char *arguments = NULL;
	if (value.type == KB_JSON_NULL)
		return NULL;
	if (value.type != KB_JSON_OBJECT || value.raw.n > ARGUMENTS_MAX)
		kz_description_values_refuse(p, field, value, "an object of at most 60000 bytes");
	else if (kb_json_each(value.raw, check_argument, p) && !p->failed &&
			 kb_json_rewrite(value.raw, NULL, 0, &text, &error))
		arguments = strndup(text.p, text.n);
	if (!arguments && !p->failed)
		kz_description_values_refuse(p, field, value, "readable");
	kb_buf_free(&text);
	return arguments;
}
