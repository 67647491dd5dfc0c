#include "core/json.h"

#include <strings.h>

/* A position in the text, and the first thing found wrong with it. */
struct scan {
	const char *start, *p, *end;
	int depth;
	bool escaped; /* an escape was passed since this was cleared */
	struct kb_json_error error;
};

static struct scan scan_of(struct kb_slice text)
{
	return (struct scan){.start = text.p, .p = text.p, .end = text.p + text.n};
}

static bool fail(struct scan *s, const char *what)
{
	if (!s->error.what)
		s->error = (struct kb_json_error){what, (size_t)(s->p - s->start)};
	return false;
}

static void skip_blanks(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

static void emit(struct kb_buf *out, const char *bytes, size_t n)
{
	if (out)
		kb_buf_append(out, bytes, n);
}

/* -- strings -- */

/* Bytes of a well-formed UTF-8 sequence (RFC 3629) at p, 0 when there is none. */
static size_t utf8_length(const unsigned char *p, const unsigned char *end)
{
	size_t n = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
	if (n == 0 || (size_t)(end - p) < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
	bool surrogate = p[0] == 0xed && p[1] >= 0xa0;
	bool too_large = p[0] == 0xf4 && p[1] >= 0x90;
	return overlong || surrogate || too_large ? 0 : n;
}

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* Moves over one character that is not ASCII. */
static void copy_wide(struct scan *s, struct kb_buf *out)
{
	size_t n = utf8_length((const unsigned char *)s->p, (const unsigned char *)s->end);
	if (n)
		emit(out, s->p, n);
	else
		emit(out, replacement, 3);
	s->p += n ? n : 1;
}

/* The four hex digits at p, or -1. */
static long hex4(const char *p, const char *end)
{
	long value = 0;
	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

/* The code point of the \u escape whose digits start at s->p, which moves past it, or past both halves of a surrogate
 * pair. A half alone becomes U+FFFD. -1: no hex digits. */
static long read_code_point(struct scan *s)
{
	long high = hex4(s->p, s->end);
	if (high < 0)
		return -1;
	s->p += 4;
	if (high < 0xd800 || high > 0xdfff)
		return high;
	long low = s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u' ? hex4(s->p + 2, s->end) : -1;
	if (high > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return 0xfffd;
	s->p += 6;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

static bool copy_escape(struct scan *s, struct kb_buf *out)
{
	const char *from = s->p++;
	s->escaped = true;
	if (s->p == s->end)
		return fail(s, "string ends inside an escape");
	char c = *s->p++;
	if (c == 'u') {
		long code = read_code_point(s);
		if (code < 0)
			return fail(s, "\\u without four hex digits");
		if (code == 0xfffd)
			emit(out, replacement, 3);
		else
			emit(out, from, (size_t)(s->p - from));
	} else if (c == '\'') {
		emit(out, "'", 1);
	} else if (c && strchr("\"\\/bfnrt", c)) {
		emit(out, from, 2);
	} else {
		return fail(s, "unknown escape in a string");
	}
	return true;
}

static void emit_control(struct kb_buf *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	emit(out, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

/* Of eight bytes at once: the high bit of each that is a control character, not ASCII, a quote or a backslash; after
 * the first such byte there may be others that are not. (The bit tricks for a zero byte and for a byte below n.) */
static uint64_t special_bytes(uint64_t v)
{
	const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
	uint64_t control = v - ones * 0x20;
	uint64_t quote = (v ^ ones * '"') - ones, single = (v ^ ones * '\'') - ones, slash = (v ^ ones * '\\') - ones;
	return (v |
			   ((control | (quote & ~(v ^ ones * '"')) | (single & ~(v ^ ones * '\'')) | (slash & ~(v ^ ones * '\\'))) &
				   ~v)) &
		   high;
}

/* Moves past bytes that need no thought, eight at a time; what is left over is for the caller's own test. */
static const char *skip_plain(const char *p, const char *end)
{
	while (end - p >= 8) {
		uint64_t v;
		memcpy(&v, p, sizeof v);
		if (special_bytes(v))
			break;
		p += 8;
	}
	return p;
}

static bool is_plain(unsigned char c, char quote)
{
	return c >= 0x20 && c < 0x80 && c != '\\' && c != '"' && c != (unsigned char)quote;
}

/* Copies the contents of a string up to its quote, or to the end of the text when quote is 0, in strict form. */
static bool copy_contents(struct scan *s, char quote, struct kb_buf *out)
{
	for (;;) {
		const char *from = s->p;
		s->p = skip_plain(s->p, s->end);
		while (s->p < s->end && is_plain((unsigned char)*s->p, quote))
			s->p++;
		if (s->p > from)
			emit(out, from, (size_t)(s->p - from));
		if (s->p == s->end)
			return quote ? fail(s, "string without an end") : true;
		unsigned char c = (unsigned char)*s->p;
		if (quote && c == (unsigned char)quote)
			return true;
		if (c >= 0x80) {
			copy_wide(s, out);
		} else if (c == '\\' && quote) {
			if (!copy_escape(s, out))
				return false;
		} else {
			if (c < 0x20)
				emit_control(out, c);
			else
				emit(out, (char[]){'\\', (char)c}, 2);
			s->p++;
		}
	}
}

static bool at_string(const struct scan *s)
{
	return s->p < s->end && (*s->p == '"' || *s->p == '\'');
}

/* The quote that ends the string at s->p, when all of it is plain and in double quotes; else NULL. */
static const char *plain_string_end(const struct scan *s)
{
	const char *p = skip_plain(s->p + 1, s->end);
	if (*s->p != '"')
		return NULL;
	while (p < s->end && is_plain((unsigned char)*p, '"'))
		p++;
	return p < s->end && *p == '"' ? p : NULL;
}

static bool copy_string(struct scan *s, struct kb_buf *out)
{
	const char *end = plain_string_end(s);
	if (end) { /* nearly all strings there are: one copy, quotes and all */
		emit(out, s->p, (size_t)(end + 1 - s->p));
		s->p = end + 1;
		return true;
	}
	char quote = *s->p++;
	emit(out, "\"", 1);
	if (!copy_contents(s, quote, out))
		return false;
	s->p++;
	emit(out, "\"", 1);
	return true;
}

/* -- numbers and literals -- */

static size_t copy_digits(struct scan *s, struct kb_buf *out)
{
	const char *from = s->p;
	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	emit(out, from, (size_t)(s->p - from));
	return (size_t)(s->p - from);
}

static bool copy_number(struct scan *s, struct kb_buf *out)
{
	if (*s->p == '-')
		emit(out, s->p++, 1);
	while (s->end - s->p > 1 && s->p[0] == '0' && s->p[1] >= '0' && s->p[1] <= '9')
		s->p++;
	if (copy_digits(s, out) == 0)
		return fail(s, "number without digits");
	if (s->p < s->end && *s->p == '.') {
		emit(out, s->p++, 1);
		if (copy_digits(s, out) == 0)
			return fail(s, "number without digits behind its point");
	}
	if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		emit(out, s->p++, 1);
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			emit(out, s->p++, 1);
		if (copy_digits(s, out) == 0)
			return fail(s, "number without digits in its exponent");
	}
	return true;
}

static bool copy_literal(struct scan *s, struct kb_buf *out)
{
	static const struct kb_slice literals[] = {{"true", 4}, {"false", 5}, {"null", 4}};
	for (size_t i = 0; i < 3; i++) {
		struct kb_slice l = literals[i];
		if ((size_t)(s->end - s->p) >= l.n && strncasecmp(s->p, l.p, l.n) == 0) {
			s->p += l.n;
			emit(out, l.p, l.n);
			return true;
		}
	}
	return fail(s, "no value where one belongs");
}

/* -- arrays and objects -- */

enum step { STEP_ITEM, STEP_CLOSED, STEP_BROKEN };

/* Steps to the next item inside an open bracket. */
static enum step next_item(struct scan *s, char close, bool first)
{
	skip_blanks(s);
	if (!first && s->p < s->end && *s->p == ',') {
		s->p++;
		skip_blanks(s);
	} else if (!first && s->p < s->end && *s->p != close) {
		fail(s, "no comma between two items");
		return STEP_BROKEN;
	}
	if (s->p == s->end) {
		fail(s, "text ends inside an array or object");
		return STEP_BROKEN;
	}
	if (*s->p != close)
		return STEP_ITEM;
	s->p++;
	return STEP_CLOSED;
}

/* Copies a key and moves past its colon; *raw is its source. */
static bool copy_key(struct scan *s, struct kb_buf *out, struct kb_slice *raw)
{
	const char *from = s->p;
	s->escaped = false;
	if (!at_string(s))
		return fail(s, "no string where a key belongs");
	if (!copy_string(s, out))
		return false;
	*raw = kb_slice(from, (size_t)(s->p - from));
	skip_blanks(s);
	if (s->p == s->end || *s->p != ':')
		return fail(s, "no colon behind a key");
	s->p++;
	emit(out, ":", 1);
	skip_blanks(s);
	return true;
}

static bool copy_value(struct scan *s, struct kb_buf *out);

static bool copy_items(struct scan *s, char close, struct kb_buf *out)
{
	for (bool first = true;; first = false) {
		struct kb_slice key;
		enum step step = next_item(s, close, first);
		if (step != STEP_ITEM)
			return step == STEP_CLOSED;
		if (!first)
			emit(out, ",", 1);
		if (close == '}' && !copy_key(s, out, &key))
			return false;
		if (!copy_value(s, out))
			return false;
	}
}

static bool copy_container(struct scan *s, struct kb_buf *out)
{
	char close = *s->p == '{' ? '}' : ']';
	if (s->depth == KB_JSON_DEPTH_MAX)
		return fail(s, "nested too deep");
	s->depth++;
	emit(out, s->p++, 1);
	if (!copy_items(s, close, out))
		return false;
	emit(out, &close, 1);
	s->depth--;
	return true;
}

/* Copies the value at s->p in strict form and moves past it; without `out` only moves. Recursion is bounded by depth.
 */
static bool copy_value(struct scan *s, struct kb_buf *out)
{
	if (s->p == s->end)
		return fail(s, "text ends where a value belongs");
	if (*s->p == '{' || *s->p == '[')
		return copy_container(s, out);
	if (at_string(s))
		return copy_string(s, out);
	if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9'))
		return copy_number(s, out);
	return copy_literal(s, out);
}

/* -- values -- */

static enum kb_json_type type_of(char first)
{
	switch (first) {
	case '{': return KB_JSON_OBJECT;
	case '[': return KB_JSON_ARRAY;
	case '"':
	case '\'': return KB_JSON_STRING;
	case 't':
	case 'T': return KB_JSON_TRUE;
	case 'f':
	case 'F': return KB_JSON_FALSE;
	case 'n':
	case 'N': return KB_JSON_NULL;
	default: return KB_JSON_NUMBER;
	}
}

static bool read_value(struct scan *s, struct kb_json_value *value)
{
	const char *from = s->p;
	if (!copy_value(s, NULL))
		return false;
	*value = (struct kb_json_value){type_of(*from), kb_slice(from, (size_t)(s->p - from))};
	return true;
}

static void append_utf8(struct kb_buf *out, long code)
{
	if (code < 0x80)
		kb_buf_append_byte(out, (char)code);
	else if (code < 0x800)
		kb_buf_append(out, (char[]){(char)(0xc0 | code >> 6), (char)(0x80 | (code & 63))}, 2);
	else if (code < 0x10000)
		kb_buf_append(
			out, (char[]){(char)(0xe0 | code >> 12), (char)(0x80 | (code >> 6 & 63)), (char)(0x80 | (code & 63))}, 3);
	else
		kb_buf_append(out,
			(char[]){(char)(0xf0 | code >> 18), (char)(0x80 | (code >> 12 & 63)), (char)(0x80 | (code >> 6 & 63)),
				(char)(0x80 | (code & 63))},
			4);
}

/* One escape of a string that copy_string() has accepted. */
static void append_unescaped(struct scan *s, struct kb_buf *out)
{
	static const char names[] = "bfnrt", codes[] = "\b\f\n\r\t";
	char c = s->p[1];
	s->p += 2;
	const char *control = strchr(names, c);
	if (c == 'u')
		append_utf8(out, read_code_point(s));
	else
		kb_buf_append_byte(out, control ? codes[control - names] : c);
}

/* Appends what the string `raw`, quotes and all, stands for. */
static void append_string(struct kb_slice raw, struct kb_buf *out)
{
	struct scan s = scan_of(kb_slice(raw.p + 1, raw.n - 2));
	while (s.p < s.end) {
		const char *from = s.p;
		s.p = skip_plain(s.p, s.end);
		while (s.p < s.end && *s.p != '\\' && (unsigned char)*s.p < 0x80)
			s.p++;
		kb_buf_append(out, from, (size_t)(s.p - from));
		if (s.p == s.end)
			return;
		if (*s.p == '\\')
			append_unescaped(&s, out);
		else
			copy_wide(&s, out);
	}
}

/* `escaped`: as copy_key() left it in the scan. */
static bool raw_key_is(struct kb_slice raw, bool escaped, struct kb_slice key)
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
	struct scan s = scan_of(text);
	struct kb_json_value value;
	skip_blanks(&s);
	return read_value(&s, &value) ? value : nothing;
}

struct kb_json_value kb_json_member(struct kb_slice object, struct kb_slice key)
{
	struct scan s = scan_of(object);
	struct kb_json_value value, found = nothing;
	skip_blanks(&s);
	if (s.p == s.end || *s.p != '{')
		return nothing;
	s.p++;
	for (bool first = true;; first = false) {
		struct kb_slice raw;
		enum step step = next_item(&s, '}', first);
		if (step == STEP_CLOSED)
			return found;
		if (step == STEP_BROKEN || !copy_key(&s, NULL, &raw))
			return nothing;
		bool match = raw_key_is(raw, s.escaped, key);
		if (!read_value(&s, &value))
			return nothing;
		if (match)
			found = value;
	}
}

static struct kb_json_value item_at(struct kb_slice array, size_t index)
{
	struct scan s = scan_of(array);
	struct kb_json_value value;
	if (array.n == 0 || *s.p != '[')
		return nothing;
	s.p++;
	for (size_t i = 0;; i++) {
		if (next_item(&s, ']', i == 0) != STEP_ITEM || !read_value(&s, &value))
			return nothing;
		if (i == index)
			return value;
	}
}

/* Takes `[n]` off the front of *path. */
static bool take_index(struct kb_slice *path, size_t *index)
{
	size_t i = 1;
	*index = 0;
	while (i < path->n && i <= 9 && path->p[i] >= '0' && path->p[i] <= '9')
		*index = *index * 10 + (size_t)(path->p[i++] - '0');
	if (i == 1 || i == path->n || path->p[i] != ']')
		return false;
	*path = kb_slice(path->p + i + 1, path->n - i - 1);
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
	struct scan *s, char close, bool (*each)(void *, struct kb_slice, struct kb_json_value), void *context)
{
	struct kb_buf key = {0};
	bool going = true, ok = false;
	for (bool first = true; going; first = false) {
		struct kb_slice raw;
		struct kb_json_value value;
		enum step step = next_item(s, close, first);
		ok = step == STEP_CLOSED;
		if (step != STEP_ITEM || (close == '}' && !copy_key(s, NULL, &raw)) || !read_value(s, &value))
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
	struct scan s = scan_of(text);
	skip_blanks(&s);
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
	struct scan s = scan_of(value.raw);
	if (value.type == KB_JSON_STRING)
		append_string(value.raw, out);
	else if (value.type != KB_JSON_NONE)
		copy_value(&s, out);
}

void kb_json_quote(struct kb_slice contents, struct kb_buf *out)
{
	struct scan s = scan_of(contents);
	kb_buf_append_byte(out, '"');
	copy_contents(&s, 0, out);
	kb_buf_append_byte(out, '"');
}

/* -- rewriting -- */

struct rewrite {
	const struct kb_json_edit *edits;
	size_t n_edits;
	bool present[KB_JSON_EDITS_MAX];
	size_t written; /* members in the result so far */
};

static const struct kb_json_edit *edit_for(const struct rewrite *r, struct kb_slice raw_key, bool escaped)
{
	for (size_t i = 0; i < r->n_edits; i++)
		if (raw_key_is(raw_key, escaped, r->edits[i].key))
			return &r->edits[i];
	return NULL;
}

static void begin_member(struct rewrite *r, struct kb_buf *out)
{
	if (r->written++)
		kb_buf_append_byte(out, ',');
}

/* Puts `prefix` into the string that was just written at `at`. False: there is no string, or it is empty. */
static bool put_prefix(struct kb_buf *out, size_t at, struct kb_slice prefix)
{
	size_t n = out->n - at;
	if (out->failed || n <= 2 || out->p[at] != '"')
		return false;
	struct kb_buf quoted = {0};
	kb_json_quote(prefix, &quoted);
	if (!kb_buf_reserve(out, quoted.n) || quoted.failed) {
		out->failed = true;
	} else {
		size_t more = quoted.n - 2;
		memmove(out->p + at + 1 + more, out->p + at + 1, n - 1);
		memcpy(out->p + at + 1, quoted.p + 1, more);
		out->n += more;
	}
	kb_buf_free(&quoted);
	return true;
}

static bool keeps_member(const struct kb_json_edit *edit, struct kb_buf *out, size_t value_at)
{
	return !edit || edit->rule == KB_JSON_ADD_IF_ABSENT ||
		   (edit->rule == KB_JSON_PREFIX && put_prefix(out, value_at, edit->value));
}

static bool rewrite_member(struct scan *s, struct rewrite *r, struct kb_buf *out)
{
	struct kb_slice raw;
	size_t before = out->n;
	begin_member(r, out);
	if (!copy_key(s, out, &raw))
		return false;
	const struct kb_json_edit *edit = edit_for(r, raw, s->escaped);
	size_t value_at = out->n;
	if (!copy_value(s, out))
		return false;
	if (edit)
		r->present[edit - r->edits] = true;
	if (!keeps_member(edit, out, value_at)) {
		out->n = before;
		r->written--;
	}
	return true;
}

static void append_edits(struct rewrite *r, struct kb_buf *out)
{
	for (size_t i = 0; i < r->n_edits; i++) {
		const struct kb_json_edit *edit = &r->edits[i];
		if (edit->rule == KB_JSON_REMOVE || edit->rule == KB_JSON_PREFIX ||
			(edit->rule == KB_JSON_ADD_IF_ABSENT && r->present[i]))
			continue;
		begin_member(r, out);
		kb_json_quote(edit->key, out);
		kb_buf_append_byte(out, ':');
		if (edit->number)
			kb_buf_append_slice(out, edit->value);
		else
			kb_json_quote(edit->value, out);
	}
}

static bool rewrite_object(struct scan *s, struct rewrite *r, struct kb_buf *out)
{
	skip_blanks(s);
	if (s->p == s->end || *s->p != '{')
		return fail(s, "not a JSON object");
	s->p++;
	s->depth = 1;
	kb_buf_append_byte(out, '{');
	for (bool first = true;; first = false) {
		enum step step = next_item(s, '}', first);
		if (step == STEP_BROKEN)
			return false;
		if (step == STEP_CLOSED)
			break;
		if (!rewrite_member(s, r, out))
			return false;
	}
	skip_blanks(s);
	if (s->p != s->end)
		return fail(s, "something follows the JSON object");
	append_edits(r, out);
	kb_buf_append_byte(out, '}');
	return out->failed ? fail(s, "out of memory") : true;
}

bool kb_json_rewrite(struct kb_slice text, const struct kb_json_edit *edits, size_t n_edits, struct kb_buf *out,
	struct kb_json_error *error)
{
	struct scan s = scan_of(text);
	struct rewrite r = {.edits = edits, .n_edits = n_edits < KB_JSON_EDITS_MAX ? n_edits : KB_JSON_EDITS_MAX};
	size_t before = out->n;
	if (rewrite_object(&s, &r, out))
		return true;
	out->n = before;
	*error = s.error;
	return false;
}
