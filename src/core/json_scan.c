#include "core/json_scan.h"

#include <strings.h>

struct kb_json_scan kb_json_scan_of(struct kb_slice text)
{
	const char *p = text.p ? text.p : ""; /* NULL has no end, not even that of nothing */
	return (struct kb_json_scan){.start = p, .p = p, .end = p + text.n};
}

bool kb_json_fail(struct kb_json_scan *s, const char *what)
{
	if (!s->error.what)
		s->error = (struct kb_json_error){what, (size_t)(s->p - s->start)};
	return false;
}

void kb_json_skip_blanks(struct kb_json_scan *s)
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

void kb_json_copy_wide(struct kb_json_scan *s, struct kb_buf *out)
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

long kb_json_read_code_point(struct kb_json_scan *s)
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

static bool copy_escape(struct kb_json_scan *s, struct kb_buf *out)
{
	const char *from = s->p++;
	s->escaped = true;
	if (s->p == s->end)
		return kb_json_fail(s, "string ends inside an escape");
	char c = *s->p++;
	if (c == 'u') {
		long code = kb_json_read_code_point(s);
		if (code < 0)
			return kb_json_fail(s, "\\u without four hex digits");
		if (code == 0xfffd)
			emit(out, replacement, 3);
		else
			emit(out, from, (size_t)(s->p - from));
	} else if (c == '\'') {
		emit(out, "'", 1);
	} else if (c && strchr("\"\\/bfnrt", c)) {
		emit(out, from, 2);
	} else {
		return kb_json_fail(s, "unknown escape in a string");
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

const char *kb_json_skip_plain(const char *p, const char *end)
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

bool kb_json_copy_contents(struct kb_json_scan *s, char quote, struct kb_buf *out)
{
	for (;;) {
		const char *from = s->p;
		s->p = kb_json_skip_plain(s->p, s->end);
		while (s->p < s->end && is_plain((unsigned char)*s->p, quote))
			s->p++;
		if (s->p > from)
			emit(out, from, (size_t)(s->p - from));
		if (s->p == s->end)
			return quote ? kb_json_fail(s, "string without an end") : true;
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

bool kb_json_at_string(const struct kb_json_scan *s)
{
	return s->p < s->end && (*s->p == '"' || *s->p == '\'');
}

/* The quote that ends the string at s->p, when all of it is plain and in double quotes; else NULL. */
static const char *plain_string_end(const struct kb_json_scan *s)
{
	const char *p = kb_json_skip_plain(s->p + 1, s->end);
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

static size_t copy_digits(struct kb_json_scan *s, struct kb_buf *out)
{
	const char *from = s->p;
	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	emit(out, from, (size_t)(s->p - from));
	return (size_t)(s->p - from);
}

static bool copy_number(struct kb_json_scan *s, struct kb_buf *out)
{
	if (*s->p == '-')
		emit(out, s->p++, 1);
	while (s->end - s->p > 1 && s->p[0] == '0' && s->p[1] >= '0' && s->p[1] <= '9')
		s->p++;
	if (copy_digits(s, out) == 0)
		return kb_json_fail(s, "number without digits");
	if (s->p < s->end && *s->p == '.') {
		emit(out, s->p++, 1);
		if (copy_digits(s, out) == 0)
			return kb_json_fail(s, "number without digits behind its point");
	}
	if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		emit(out, s->p++, 1);
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			emit(out, s->p++, 1);
		if (copy_digits(s, out) == 0)
			return kb_json_fail(s, "number without digits in its exponent");
	}
	return true;
}

static bool copy_literal(struct kb_json_scan *s, struct kb_buf *out)
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
	return kb_json_fail(s, "no value where one belongs");
}

/* -- arrays and objects -- */

enum kb_json_step kb_json_next_item(struct kb_json_scan *s, char close, bool first)
{
	kb_json_skip_blanks(s);
	if (!first && s->p < s->end && *s->p == ',') {
		s->p++;
		kb_json_skip_blanks(s);
	} else if (!first && s->p < s->end && *s->p != close) {
		kb_json_fail(s, "no comma between two items");
		return KB_JSON_BROKEN;
	}
	if (s->p == s->end) {
		kb_json_fail(s, "text ends inside an array or object");
		return KB_JSON_BROKEN;
	}
	if (*s->p != close)
		return KB_JSON_ITEM;
	s->p++;
	return KB_JSON_CLOSED;
}

bool kb_json_copy_key(struct kb_json_scan *s, struct kb_buf *out, struct kb_slice *raw)
{
	const char *from = s->p;
	s->escaped = false;
	if (!kb_json_at_string(s))
		return kb_json_fail(s, "no string where a key belongs");
	if (!copy_string(s, out))
		return false;
	*raw = kb_slice(from, (size_t)(s->p - from));
	kb_json_skip_blanks(s);
	if (s->p == s->end || *s->p != ':')
		return kb_json_fail(s, "no colon behind a key");
	s->p++;
	emit(out, ":", 1);
	kb_json_skip_blanks(s);
	return true;
}

static bool copy_items(struct kb_json_scan *s, char close, struct kb_buf *out)
{
	for (bool first = true;; first = false) {
		struct kb_slice key;
		enum kb_json_step step = kb_json_next_item(s, close, first);
		if (step != KB_JSON_ITEM)
			return step == KB_JSON_CLOSED;
		if (!first)
			emit(out, ",", 1);
		if (close == '}' && !kb_json_copy_key(s, out, &key))
			return false;
		if (!kb_json_copy_value(s, out))
			return false;
	}
}

static bool copy_container(struct kb_json_scan *s, struct kb_buf *out)
{
	char close = *s->p == '{' ? '}' : ']';
	if (s->depth == KB_JSON_DEPTH_MAX)
		return kb_json_fail(s, "nested too deep");
	s->depth++;
	emit(out, s->p++, 1);
	if (!copy_items(s, close, out))
		return false;
	emit(out, &close, 1);
	s->depth--;
	return true;
}

bool kb_json_copy_value(struct kb_json_scan *s, struct kb_buf *out)
{
	if (s->p == s->end)
		return kb_json_fail(s, "text ends where a value belongs");
	if (*s->p == '{' || *s->p == '[')
		return copy_container(s, out);
	if (kb_json_at_string(s))
		return copy_string(s, out);
	if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9'))
		return copy_number(s, out);
	return copy_literal(s, out);
}
