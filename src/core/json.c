#include "core/json.h"

#include "core/json_copy.h"
#include "core/number.h"

/* -- values -- */

static enum kb_json_type type_of(struct kb_slice raw)
{
	switch (raw.p[0]) {
	case '{': return KB_JSON_OBJECT;
	case '[': return KB_JSON_ARRAY;
	case '"':
	case '\'': return KB_JSON_STRING;
	case 't':
	case 'T': return KB_JSON_TRUE;
	case 'f':
	case 'F': return KB_JSON_FALSE;
	case 'n':
	case 'N':
	case 'i':
	case 'I': return KB_JSON_NULL;
	case '-': return raw.n > 1 && (raw.p[1] | 32) == 'i' ? KB_JSON_NULL : KB_JSON_NUMBER;
	default: return KB_JSON_NUMBER;
	}
}

static bool read_value(struct kb_json_scan *s, struct kb_json_value *value)
{
	const char *from = s->p;
	if (!kb_json_copy_value(s, NULL))
		return false;
	value->raw = kb_slice(from, (size_t)(s->p - from));
	value->type = type_of(value->raw);
	return true;
}

/* Appends what the string `raw`, quotes and all, stands for. */
static void append_string(struct kb_slice raw, struct kb_buf *out)
{
	struct kb_json_scan s = kb_json_scan_of(kb_slice(raw.p + 1, raw.n - 2));
	while (s.p < s.end) {
		const char *from = s.p;
		s.p = kb_json_scan_plain(s.p, s.end);
		while (s.p < s.end && *s.p != '\\' && (unsigned char)*s.p < 0x80)
			s.p++;
		kb_buf_append(out, from, (size_t)(s.p - from));
		if (s.p == s.end)
			return;
		if (kb_json_scan_take(&s, '\\')) {
			char bytes[4];
			kb_buf_append(out, bytes, kb_json_scan_escape(&s, bytes));
		} else {
			kb_json_copy_wide(&s, out);
		}
	}
}

bool kb_json_key_is(struct kb_slice raw, bool escaped, struct kb_slice key)
{
	if (!escaped)
		return kb_slice_equal(kb_slice(raw.p + 1, raw.n - 2), key);
	struct kb_buf decoded = {0};
	append_string(raw, &decoded);
	bool equal = !decoded.failed && kb_slice_equal(kb_buf_slice(&decoded), key);
	kb_buf_free(&decoded);
	return equal;
}

/* -- looking up -- */

static const struct kb_json_value nothing = {KB_JSON_NONE, {NULL, 0}};

static struct kb_json_value whole(struct kb_slice text)
{
	struct kb_json_scan s = kb_json_scan_of(text);
	struct kb_json_value value;
	kb_json_scan_blanks(&s);
	return read_value(&s, &value) ? value : nothing;
}

struct kb_json_value kb_json_member(struct kb_slice object, struct kb_slice key)
{
	struct kb_json_scan s = kb_json_scan_of(object);
	struct kb_json_value value, found = nothing;
	kb_json_scan_blanks(&s);
	if (s.p == s.end || *s.p != '{')
		return nothing;
	s.p++;
	for (bool first = true;; first = false) {
		struct kb_slice raw;
		enum kb_json_step step = kb_json_scan_next(&s, '}', first);
		if (step == KB_JSON_CLOSED)
			return found;
		if (step == KB_JSON_BROKEN || !kb_json_copy_key(&s, NULL, &raw))
			return nothing;
		bool match = kb_json_key_is(raw, s.escaped, key);
		if (!read_value(&s, &value))
			return nothing;
		if (match)
			found = value;
	}
}

static struct kb_json_value item_at(struct kb_slice array, size_t index)
{
	struct kb_json_scan s = kb_json_scan_of(array);
	struct kb_json_value value;
	if (array.n == 0 || *s.p != '[')
		return nothing;
	s.p++;
	for (size_t i = 0;; i++) {
		if (kb_json_scan_next(&s, ']', i == 0) != KB_JSON_ITEM || !read_value(&s, &value))
			return nothing;
		if (i == index)
			return value;
	}
}

/* Takes `[n]` off the front of *path; n has at most nine digits. */
static bool take_index(struct kb_slice *path, size_t *index)
{
	enum { DIGITS_MAX = 9 };
	const char *end = memchr(path->p, ']', path->n);
	size_t n = end ? (size_t)(end - path->p) : 0;
	uint64_t number;
	if (!end || n > 1 + DIGITS_MAX || !kb_number_read(kb_slice(path->p + 1, n - 1), UINT32_MAX, &number))
		return false;
	*index = number;
	*path = kb_slice(end + 1, path->n - n - 1);
	return true;
}

/* A key of the path: everything up to a dot, or a bracket that opens an index. */
static struct kb_slice take_key(struct kb_slice *path)
{
	size_t n = 0;
	while (n < path->n && path->p[n] != '.' && path->p[n] != '[')
		n++;
	struct kb_slice key = kb_slice(path->p, n);
	*path = kb_slice(path->p + n, path->n - n);
	return key;
}

static struct kb_json_value member_escaped(struct kb_slice object, struct kb_slice key, char escape)
{
	if (!key.n || !memchr(key.p, escape, key.n))
		return kb_json_member(object, key);
	struct kb_buf plain = {0};
	kb_buf_append_slice(&plain, key);
	for (size_t i = 0; i < plain.n; i++)
		if (plain.p[i] == escape)
			plain.p[i] = '.';
	struct kb_json_value value = plain.failed ? nothing : kb_json_member(object, kb_buf_slice(&plain));
	kb_buf_free(&plain);
	return value;
}

struct kb_json_value kb_json_get(struct kb_slice text, struct kb_slice path, char escape)
{
	if (path.n == 0)
		return whole(text);
	struct kb_json_value value = {KB_JSON_OBJECT, text};
	if (path.p[0] == '[')
		value = whole(text);
	while (path.n && value.type != KB_JSON_NONE) {
		size_t index;
		if (path.p[0] == '[') {
			value = take_index(&path, &index) ? item_at(value.raw, index) : nothing;
		} else {
			if (path.p[0] == '.')
				path = kb_slice(path.p + 1, path.n - 1);
			value = member_escaped(value.raw, take_key(&path), escape);
		}
	}
	return value;
}

static bool each_item(
	struct kb_json_scan *s, char close, bool (*each)(void *, struct kb_slice, struct kb_json_value), void *context)
{
	struct kb_buf key = {0};
	bool going = true, ok = false;
	for (bool first = true; going; first = false) {
		struct kb_slice raw;
		struct kb_json_value value;
		enum kb_json_step step = kb_json_scan_next(s, close, first);
		ok = step == KB_JSON_CLOSED;
		if (step != KB_JSON_ITEM || (close == '}' && !kb_json_copy_key(s, NULL, &raw)) || !read_value(s, &value))
			break;
		kb_buf_clear(&key);
		if (close == '}')
			append_string(raw, &key);
		ok = !key.failed;
		going = ok && each(context, kb_buf_slice(&key), value);
	}
	kb_buf_free(&key);
	return ok;
}

bool kb_json_each(
	struct kb_slice text, bool (*each)(void *context, struct kb_slice key, struct kb_json_value value), void *context)
{
	struct kb_json_scan s = kb_json_scan_of(text);
	kb_json_scan_blanks(&s);
	if (s.p == s.end || (*s.p != '{' && *s.p != '['))
		return false;
	char close = *s.p++ == '{' ? '}' : ']';
	return each_item(&s, close, each, context);
}

static bool count_item(void *context, struct kb_slice key, struct kb_json_value value)
{
	(void)key, (void)value;
	++*(size_t *)context;
	return true;
}

size_t kb_json_count(struct kb_json_value value)
{
	size_t count = 0;
	if (value.type != KB_JSON_ARRAY || !kb_json_each(value.raw, count_item, &count))
		return 0;
	return count;
}

void kb_json_text(struct kb_json_value value, struct kb_buf *out)
{
	struct kb_json_scan s = kb_json_scan_of(value.raw);
	if (value.type == KB_JSON_STRING)
		append_string(value.raw, out);
	else if (value.type != KB_JSON_NONE)
		kb_json_copy_value(&s, out);
}

void kb_json_quote(struct kb_slice contents, struct kb_buf *out)
{
	struct kb_json_scan s = kb_json_scan_of(contents);
	kb_buf_append_byte(out, '"');
	kb_json_copy_contents(&s, 0, out);
	kb_buf_append_byte(out, '"');
}
