#include "amqp/properties.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include "amqp/frames.h"
#include "amqp/options.h"
#include "core/message.h"

enum kind { TEXT, DIGITS /* a number in a text */, OCTET, LONG };

static const struct property {
	struct kb_slice name;
	amqp_flags_t flag;
	enum kind kind;
	size_t at;                /* in amqp_basic_properties_t */
	uint64_t lowest, highest; /* of a number */
} known[] = {
#define PROPERTY(text, FLAG, kind, field, lowest, highest)                                                             \
	{                                                                                                                  \
		{text, sizeof(text) - 1}, AMQP_BASIC_##FLAG##_FLAG, kind, offsetof(amqp_basic_properties_t, field), lowest,    \
			highest                                                                                                    \
	}
	PROPERTY("content-type", CONTENT_TYPE, TEXT, content_type, 0, 0),
	PROPERTY("content-encoding", CONTENT_ENCODING, TEXT, content_encoding, 0, 0),
	PROPERTY("delivery-mode", DELIVERY_MODE, OCTET, delivery_mode, 1, 2),
	PROPERTY("priority", PRIORITY, OCTET, priority, 0, 255),
	PROPERTY("correlation-id", CORRELATION_ID, TEXT, correlation_id, 0, 0),
	PROPERTY("reply-to", REPLY_TO, TEXT, reply_to, 0, 0),
	PROPERTY("expiration", EXPIRATION, DIGITS, expiration, 0, UINT32_MAX),
	PROPERTY("message-id", MESSAGE_ID, TEXT, message_id, 0, 0),
	PROPERTY("timestamp", TIMESTAMP, LONG, timestamp, 0, UINT64_MAX),
	PROPERTY("type", TYPE, TEXT, type, 0, 0),
	PROPERTY("user-id", USER_ID, TEXT, user_id, 0, 0),
	PROPERTY("app-id", APP_ID, TEXT, app_id, 0, 0),
#undef PROPERTY
};

enum { KNOWN = sizeof known / sizeof *known, SHORT_STRING_MAX = 255 };

static bool read_number(struct kb_slice text, uint64_t highest, uint64_t *number)
{
	*number = 0;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9' || *number > (highest - (uint64_t)(text.p[i] - '0')) / 10)
			return false;
		*number = *number * 10 + (uint64_t)(text.p[i] - '0');
	}
	return text.n > 0 && *number <= highest;
}

static bool set(amqp_basic_properties_t *properties, const struct property *p, struct kb_slice value)
{
	void *field = (char *)properties + p->at;
	uint64_t number = 0;
	bool text = p->kind == TEXT || p->kind == DIGITS;
	if (text && value.n > SHORT_STRING_MAX)
		return false;
	if (p->kind != TEXT && (!read_number(value, p->highest, &number) || number < p->lowest))
		return false;
	if (text)
		*(amqp_bytes_t *)field = kb_amqp_bytes(value);
	else if (p->kind == OCTET)
		*(uint8_t *)field = (uint8_t)number;
	else
		*(uint64_t *)field = number;
	properties->_flags |= p->flag;
	return true;
}

static const struct property *find(struct kb_slice name)
{
	for (size_t i = 0; i < KNOWN; i++)
		if (kb_slice_equal(known[i].name, name))
			return &known[i];
	return NULL;
}

bool kb_amqp_properties_read(
	struct kb_slice list, amqp_basic_properties_t *properties, bool *mandatory, struct kb_slice *bad)
{
	struct kb_slice name, value;
	uint64_t flag;
	while (kb_headers_next(&list, &name, &value)) {
		const struct property *p = find(name);
		bool is_mandatory = kb_slice_equal(name, KB_SLICE_LITERAL("mandatory"));
		bool good = is_mandatory ? read_number(value, 1, &flag) : p && set(properties, p, value);
		if (!good) {
			*bad = name;
			return false;
		}
		if (is_mandatory)
			*mandatory = flag == 1;
	}
	return true;
}

static const char *complaint_about(const struct property *p)
{
	static char text[100];
	if (p->kind == TEXT)
		return "longer than the 255 bytes that AMQP allows";
	snprintf(text, sizeof text, "must be a number from %" PRIu64 " to %" PRIu64, p->lowest, p->highest);
	return text;
}

const char *kb_amqp_properties_check(struct kb_slice list, struct kb_slice *name, struct kb_slice *value)
{
	amqp_basic_properties_t ignored;
	uint64_t flag;
	while (kb_headers_next(&list, name, value)) {
		const struct property *p = find(*name);
		if (kb_slice_equal(*name, KB_SLICE_LITERAL("mandatory"))) {
			if (!read_number(*value, 1, &flag))
				return "must be 0 or 1";
		} else if (!p) {
			return "no property of that name: there are content-type, content-encoding, delivery-mode, priority, "
				   "correlation-id, reply-to, expiration, message-id, timestamp, type, user-id, app-id and mandatory";
		} else if (!set(&ignored, p, *value)) {
			return complaint_about(p);
		}
	}
	return NULL;
}

const char *kb_amqp_headers_check(struct kb_slice list, struct kb_slice *name)
{
	struct kb_slice value;
	size_t count = 0;
	if (list.n > KB_AMQP_HEADERS_BYTES) {
		*name = kb_slice(NULL, 0);
		return "longer together than the 126976 bytes that a frame of AMQP has for them";
	}
	for (; kb_headers_next(&list, name, &value); count++)
		if (name->n > KB_AMQP_HEADER_NAME_MAX)
			return "its name is longer than the 255 bytes that AMQP allows";
	*name = kb_slice(NULL, 0);
	return count > KB_AMQP_HEADERS_MAX ? "more than 64" : NULL;
}

void kb_amqp_properties_list(const amqp_basic_properties_t *properties, struct kb_buf *list)
{
	for (size_t i = 0; i < KNOWN; i++) {
		const void *field = (const char *)properties + known[i].at;
		char text[24];
		if (!(properties->_flags & known[i].flag))
			continue;
		if (known[i].kind == TEXT || known[i].kind == DIGITS) {
			kb_headers_add(list, known[i].name, kb_amqp_slice(*(const amqp_bytes_t *)field));
			continue;
		}
		uint64_t number = known[i].kind == OCTET ? *(const uint8_t *)field : *(const uint64_t *)field;
		int n = snprintf(text, sizeof text, "%" PRIu64, number);
		kb_headers_add(list, known[i].name, kb_slice(text, (size_t)n));
	}
}

/* Bytes of `value` as text, 0 for kinds that have none. */
static int number_text(const amqp_field_value_t *value, char *text, size_t size)
{
	switch (value->kind) {
	case AMQP_FIELD_KIND_BOOLEAN: return snprintf(text, size, "%s", value->value.boolean ? "true" : "false");
	case AMQP_FIELD_KIND_I8: return snprintf(text, size, "%d", value->value.i8);
	case AMQP_FIELD_KIND_U8: return snprintf(text, size, "%u", value->value.u8);
	case AMQP_FIELD_KIND_I16: return snprintf(text, size, "%d", value->value.i16);
	case AMQP_FIELD_KIND_U16: return snprintf(text, size, "%u", value->value.u16);
	case AMQP_FIELD_KIND_I32: return snprintf(text, size, "%" PRId32, value->value.i32);
	case AMQP_FIELD_KIND_U32: return snprintf(text, size, "%" PRIu32, value->value.u32);
	case AMQP_FIELD_KIND_I64: return snprintf(text, size, "%" PRId64, value->value.i64);
	case AMQP_FIELD_KIND_U64:
	case AMQP_FIELD_KIND_TIMESTAMP: return snprintf(text, size, "%" PRIu64, value->value.u64);
	case AMQP_FIELD_KIND_F32: return snprintf(text, size, "%.9g", (double)value->value.f32);
	case AMQP_FIELD_KIND_F64: return snprintf(text, size, "%.17g", value->value.f64);
	default: return 0;
	}
}

void kb_amqp_headers_list(const amqp_table_t *table, struct kb_buf *list)
{
	for (int i = 0; i < table->num_entries; i++) {
		const amqp_table_entry_t *entry = &table->entries[i];
		char text[40];
		if (entry->value.kind == AMQP_FIELD_KIND_UTF8 || entry->value.kind == AMQP_FIELD_KIND_BYTES) {
			kb_headers_add(list, kb_amqp_slice(entry->key), kb_amqp_slice(entry->value.value.bytes));
			continue;
		}
		int n = number_text(&entry->value, text, sizeof text);
		if (n > 0)
			kb_headers_add(list, kb_amqp_slice(entry->key), kb_slice(text, (size_t)n));
	}
}
