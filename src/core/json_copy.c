#include "core/json_copy.h"

#include "core/json_unique.h"

static void emit(struct kb_buf *out, const char *bytes, size_t n)
{
	if (out)
		kb_buf_append(out, bytes, n);
}

/* -- strings -- */

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

void kb_json_copy_wide(struct kb_json_scan *s, struct kb_buf *out)
{
	size_t n = kb_json_scan_utf8(s);
	if (n)
		emit(out, s->p, n);
	else
		emit(out, replacement, 3);
	s->p += n ? n : 1;
}

static bool copy_escape(struct kb_json_scan *s, struct kb_buf *out)
{
	const char *from = s->p++;
	s->escaped = true;
	if (s->p == s->end)
		return kb_json_scan_fail(s, "unterminated escape in a string");
	char c = *s->p++;
	if (c == 'u') {
		long code = kb_json_scan_code_point(s);
		if (code < 0)
			return kb_json_scan_fail(s, "\\u without four hex digits");
		if (code == 0xfffd)
			emit(out, replacement, 3);
		else
			emit(out, from, (size_t)(s->p - from));
	} else if (c == '\'') {
		emit(out, "'", 1);
	} else if (c && strchr("\"\\/bfnrt", c)) {
		emit(out, from, 2);
	} else {
		return kb_json_scan_fail(s, "invalid escape in a string");
	}
	return true;
}

static void emit_control(struct kb_buf *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	emit(out, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

static bool is_plain(unsigned char c, char quote)
{
	return c >= 0x20 && c < 0x80 && c != '\\' && c != '"' && c != (unsigned char)quote;
}

bool kb_json_copy_contents(struct kb_json_scan *s, char quote, struct kb_buf *out)
{
	for (;;) {
		const char *from = s->p;
		s->p = kb_json_scan_plain(s->p, s->end);
		while (s->p < s->end && is_plain((unsigned char)*s->p, quote))
			s->p++;
		if (s->p > from)
			emit(out, from, (size_t)(s->p - from));
		if (s->p == s->end)
			return quote ? kb_json_scan_fail(s, "unterminated string") : true;
		unsigned char c = (unsigned char)*s->p;
		if (quote && c == (unsigned char)quote)
			return true;
		if (c >= 0x80) {
			kb_json_copy_wide(s, out);
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

/* The quote that ends the string at s->p, when all of it is plain and in double quotes; else NULL. */
static const char *plain_string_end(const struct kb_json_scan *s)
{
	const char *p = kb_json_scan_plain(s->p + 1, s->end);
	if (*s->p != '"')
		return NULL;
	while (p < s->end && is_plain((unsigned char)*p, '"'))
		p++;
	return p < s->end && *p == '"' ? p : NULL;
}

static bool copy_string(struct kb_json_scan *s, struct kb_buf *out)
{
	const char *end = plain_string_end(s);
	if (end) { /* nearly all strings there are: one copy, quotes and all */
		emit(out, s->p, (size_t)(end + 1 - s->p));
		s->p = end + 1;
		return true;
	}
	char quote = *s->p++;
	emit(out, "\"", 1);
	if (!kb_json_copy_contents(s, quote, out))
		return false;
	s->p++;
	emit(out, "\"", 1);
	return true;
}

/* -- numbers and literals -- */

/* Without leading zeros, and with the digits that a point lacks. */
static bool copy_number(struct kb_json_scan *s, struct kb_buf *out)
{
	struct kb_json_number number;
	bool negative = *s->p == '-';
	if (!kb_json_scan_number(s, &number))
		return false;
	while (number.whole_end - number.whole > 1 && *number.whole == '0')
		number.whole++;
	if (negative)
		emit(out, "-", 1);
	if (number.whole == number.whole_end)
		emit(out, "0", 1);
	const char *point = number.whole_end + (number.bare_point ? 1 : 0);
	emit(out, number.whole, (size_t)(point - number.whole));
	if (number.bare_point)
		emit(out, "0", 1);
	emit(out, point, (size_t)(number.end - point));
	return true;
}

static bool copy_literal(struct kb_json_scan *s, struct kb_buf *out)
{
	switch (kb_json_scan_literal(s)) {
	case KB_JSON_TRUE: emit(out, "true", 4); return true;
	case KB_JSON_FALSE: emit(out, "false", 5); return true;
	case KB_JSON_NULL: emit(out, "null", 4); return true;
	default: return kb_json_scan_fail(s, "value expected");
	}
}

/* -- arrays and objects -- */

bool kb_json_copy_key(struct kb_json_scan *s, struct kb_buf *out, struct kb_slice *raw)
{
	const char *from = s->p;
	s->escaped = false;
	if (!kb_json_scan_at_string(s))
		return kb_json_scan_fail(s, "string expected as key");
	if (!copy_string(s, out))
		return false;
	*raw = kb_slice(from, (size_t)(s->p - from));
	kb_json_scan_blanks(s);
	if (s->p == s->end || *s->p != ':')
		return kb_json_scan_fail(s, "colon expected after a key");
	s->p++;
	emit(out, ":", 1);
	kb_json_scan_blanks(s);
	return true;
}

static bool copy_items(struct kb_json_scan *s, struct kb_buf *out)
{
	for (bool first = true;; first = false) {
		enum kb_json_step step = kb_json_scan_next(s, ']', first);
		if (step != KB_JSON_ITEM)
			return step == KB_JSON_CLOSED;
		if (!first)
			emit(out, ",", 1);
		if (!kb_json_copy_value(s, out))
			return false;
	}
}

static bool copy_members(struct kb_json_scan *s, struct kb_buf *out, struct kb_json_unique *keys)
{
	for (bool first = true;; first = false) {
		struct kb_slice key;
		enum kb_json_step step = kb_json_scan_next(s, '}', first);
		if (step != KB_JSON_ITEM)
			return step == KB_JSON_CLOSED;
		if (!first)
			emit(out, ",", 1);
		size_t at = out ? out->n : 0;
		if (!kb_json_copy_key(s, out, &key))
			return false;
		if (out)
			kb_json_unique_note(keys, out, at, s->escaped);
		if (!kb_json_copy_value(s, out))
			return false;
	}
}

static bool copy_object(struct kb_json_scan *s, struct kb_buf *out)
{
	struct kb_json_unique keys;
	size_t from = out ? out->n : 0;
	keys.n = 0;
	keys.suspect = false;
	emit(out, "{", 1);
	if (!copy_members(s, out, &keys))
		return false;
	emit(out, "}", 1);
	if (keys.suspect)
		kb_json_unique_keep_last(s, out, from);
	return true;
}

static bool copy_array(struct kb_json_scan *s, struct kb_buf *out)
{
	emit(out, "[", 1);
	if (!copy_items(s, out))
		return false;
	emit(out, "]", 1);
	return true;
}

static bool copy_container(struct kb_json_scan *s, struct kb_buf *out)
{
	if (s->depth == KB_JSON_DEPTH_MAX)
		return kb_json_scan_fail(s, "nested too deeply");
	s->depth++;
	if (!(*s->p++ == '{' ? copy_object(s, out) : copy_array(s, out)))
		return false;
	s->depth--;
	return true;
}

bool kb_json_copy_value(struct kb_json_scan *s, struct kb_buf *out)
{
	if (s->p == s->end)
		return kb_json_scan_fail(s, "value expected at the end of the text");
	if (*s->p == '{' || *s->p == '[')
		return copy_container(s, out);
	if (kb_json_scan_at_string(s))
		return copy_string(s, out);
	if (kb_json_scan_at_number(s))
		return copy_number(s, out);
	return copy_literal(s, out);
}
