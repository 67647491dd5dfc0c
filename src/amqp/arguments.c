#include "amqp/arguments.h"

#include "core/json.h"
#include "core/number.h"

enum { POOL_PAGE = 4096 };

/* An object that becomes a table. */
struct filling {
	amqp_pool_t *pool;
	amqp_table_t *table;
	bool failed;
};

static bool fill(amqp_pool_t *pool, struct kb_slice object, amqp_table_t *table);

static bool copy(amqp_pool_t *pool, struct kb_slice text, amqp_bytes_t *bytes)
{
	amqp_pool_alloc_bytes(pool, text.n, bytes);
	if (text.n && !bytes->bytes)
		return false;
	if (text.n)
		memcpy(bytes->bytes, text.p, text.n);
	return true;
}

static bool read_text(amqp_pool_t *pool, struct kb_json_value value, amqp_field_value_t *field)
{
	struct kb_buf text = {0};
	kb_json_text(value, &text);
	field->kind = AMQP_FIELD_KIND_UTF8;
	bool good = !text.failed && copy(pool, kb_buf_slice(&text), &field->value.bytes);
	kb_buf_free(&text);
	return good;
}

static bool read_value(amqp_pool_t *pool, struct kb_json_value value, amqp_field_value_t *field)
{
	switch (value.type) {
	case KB_JSON_TRUE:
	case KB_JSON_FALSE:
		field->kind = AMQP_FIELD_KIND_BOOLEAN;
		field->value.boolean = value.type == KB_JSON_TRUE;
		return true;
	case KB_JSON_NUMBER:
		field->kind = AMQP_FIELD_KIND_I64;
		return kb_number_read_signed(value.raw, INT64_MAX, &field->value.i64);
	case KB_JSON_STRING: return read_text(pool, value, field);
	case KB_JSON_OBJECT: field->kind = AMQP_FIELD_KIND_TABLE; return fill(pool, value.raw, &field->value.table);
	default: return false;
	}
}

static bool count_member(void *context, struct kb_slice key, struct kb_json_value value)
{
	(void)key, (void)value;
	++*(int *)context;
	return true;
}

static bool add_member(void *context, struct kb_slice key, struct kb_json_value value)
{
	struct filling *f = context;
	amqp_table_entry_t *entry = &f->table->entries[f->table->num_entries++];
	f->failed = !copy(f->pool, key, &entry->key) || !read_value(f->pool, value, &entry->value);
	return !f->failed;
}

static bool fill(amqp_pool_t *pool, struct kb_slice object, amqp_table_t *table)
{
	int members = 0;
	*table = amqp_empty_table;
	if (!kb_json_each(object, count_member, &members))
		return false;
	table->entries = amqp_pool_alloc(pool, (size_t)(members + 1) * sizeof *table->entries);
	struct filling f = {pool, table, !table->entries};
	return !f.failed && kb_json_each(object, add_member, &f) && !f.failed;
}

bool kb_amqp_arguments_read(const char *json, struct kb_amqp_arguments *a)
{
	init_amqp_pool(&a->pool, POOL_PAGE);
	a->table = amqp_empty_table;
	return !json || fill(&a->pool, kb_slice_from(json), &a->table);
}

void kb_amqp_arguments_free(struct kb_amqp_arguments *a)
{
	empty_amqp_pool(&a->pool);
}
