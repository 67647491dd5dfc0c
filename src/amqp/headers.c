#include "amqp/headers.h"

#include <amqp.h>
#include <inttypes.h>
#include <stdio.h>
#include "amqp/bytes.h"
#include "core/message.h"

const char *kb_amqp_headers_check(struct kb_slice list, struct kb_slice *name)
{
	struct kb_slice value;
	size_t count = 0;
	if (list.n > KB_AMQP_HEADERS_BYTES) {
		*name = kb_slice(NULL, 0);
		return "longer than the 126976 bytes that fit in an AMQP frame";
	}
	for (; kb_headers_next(&list, name, &value); count++)
		if (name->n > KB_AMQP_HEADERS_NAME_MAX)
			return "its name is longer than 255 bytes";
	*name = kb_slice(NULL, 0);
	return count > KB_AMQP_HEADERS_MAX ? "more than 64 headers" : NULL;
}

bool kb_amqp_headers_read(struct kb_slice list, amqp_table_entry_t *entries, amqp_table_t *table)
{
	struct kb_slice name, value;
	*table = (amqp_table_t){0, entries};
	while (kb_headers_next(&list, &name, &value)) {
		if (table->num_entries == KB_AMQP_HEADERS_MAX || name.n > KB_AMQP_HEADERS_NAME_MAX)
			return false;
		amqp_table_entry_t *entry = &entries[table->num_entries++];
		entry->key = kb_amqp_bytes_of(name);
		entry->value.kind = AMQP_FIELD_KIND_UTF8;
		entry->value.value.bytes = kb_amqp_bytes_of(value);
	}
	return true;
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
			kb_headers_add(list, kb_amqp_bytes_slice(entry->key), kb_amqp_bytes_slice(entry->value.value.bytes));
			continue;
		}
		int n = number_text(&entry->value, text, sizeof text);
		if (n > 0)
			kb_headers_add(list, kb_amqp_bytes_slice(entry->key), kb_slice(text, (size_t)n));
	}
}
