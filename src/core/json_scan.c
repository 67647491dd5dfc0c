#include "core/json_scan.h"

#include <strings.h>

struct kb_json_scan kb_json_scan_of(struct kb_slice text)
{
	const char *p = text.p ? text.p : ""; /* NULL has no end, not even that of nothing */
	return (struct kb_json_scan){.start = p, .p = p, .end = p + text.n};
}

bool kb_json_scan_fail(struct kb_json_scan *s, const char *what)
{
	if (!s->error.what)
		s->error = (struct kb_json_error){what, (size_t)(s->p - s->start)};
	return false;
}

/* -- structure -- */

enum kb_json_step kb_json_scan_next(struct kb_json_scan *s, char close, bool first)
{
	kb_json_scan_blanks(s);
	if (!first && kb_json_scan_take(s, ',')) {
		kb_json_scan_blanks(s);
	} else if (!first && s->p < s->end && *s->p != close) {
		kb_json_scan_fail(s, "comma expected between two items");
		return KB_JSON_BROKEN;
	}
	if (s->p == s->end) {
		kb_json_scan_fail(s, "unterminated array or object");
		return KB_JSON_BROKEN;
	}
	return kb_json_scan_take(s, close) ? KB_JSON_CLOSED : KB_JSON_ITEM;
}

/* -- strings -- */

bool kb_json_scan_at_string(const struct kb_json_scan *s)
{
	return s->p < s->end && (*s->p == '"' || *s->p == '\'');
}

size_t kb_json_scan_utf8(const struct kb_json_scan *s)
{
	const unsigned char *p = (const unsigned char *)s->p;
	size_t n = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
	if (n == 0 || (size_t)(s->end - s->p) < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
	bool surrogate = p[0] == 0xed && p[1] >= 0xa0;
	bool too_large = p[0] == 0xf4 && p[1] >= 0x90;
	return overlong || surrogate || too_large ? 0 : n;
}

/* The four hex digits at p, or -1. */
static long hex4(const char *p, const char *end)
{
	long value = 0;
	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i], low = (char)(c | 32);
		int digit = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

long kb_json_scan_code_point(struct kb_json_scan *s)
{
	long high = hex4(s->p, s->end);
	if (high < 0)
		return -1;
	s->p += 4;
	if (high < 0xd800 || high > 0xdfff)
		return high;
	long low = s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u' ? hex4(s->p + 2, s->end) : -1;
	if (high > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return s->strict ? -1 : 0xfffd;
	s->p += 6;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

static size_t put_utf8(long code, char to[4])
{
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	if (n == 1) {
		to[0] = (char)code;
		return 1;
	}
	for (size_t i = n - 1; i > 0; i--, code >>= 6)
		to[i] = (char)(0x80 | (code & 63));
	to[0] = (char)((0xf00 >> n & 0xff) | code);
	return n;
}

size_t kb_json_scan_escape(struct kb_json_scan *s, char to[4])
{
	static const char names[] = "\"\\/bfnrt'", codes[] = "\"\\/\b\f\n\r\t'";
	if (s->p == s->end)
		return 0;
	char c = *s->p++;
	const char *name = c && !(s->strict && c == '\'') ? strchr(names, c) : NULL;
	if (name) {
		to[0] = codes[name - names];
		return 1;
	}
	long code = c == 'u' ? kb_json_scan_code_point(s) : -1;
	return code < 0 ? 0 : put_utf8(code, to);
}

/* -- numbers and literals -- */

static size_t skip_digits(struct kb_json_scan *s)
{
	const char *from = s->p;
	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return (size_t)(s->p - from);
}

bool kb_json_scan_number(struct kb_json_scan *s, struct kb_json_number *number)
{
	kb_json_scan_take(s, '-');
	number->whole = s->p;
	if (skip_digits(s) == 0)
		return kb_json_scan_fail(s, "number without digits");
	number->whole_end = s->p;
	if (kb_json_scan_take(s, '.') && skip_digits(s) == 0)
		return kb_json_scan_fail(s, "number without digits after the decimal point");
	if (kb_json_scan_take(s, 'e') || kb_json_scan_take(s, 'E')) {
		if (!kb_json_scan_take(s, '+'))
			kb_json_scan_take(s, '-');
		if (skip_digits(s) == 0)
			return kb_json_scan_fail(s, "number without digits in its exponent");
	}
	return true;
}

enum kb_json_type kb_json_scan_literal(struct kb_json_scan *s)
{
	static const struct {
		struct kb_slice word;
		enum kb_json_type type;
	} literals[] = {{{"true", 4}, KB_JSON_TRUE}, {{"false", 5}, KB_JSON_FALSE}, {{"null", 4}, KB_JSON_NULL}};
	for (size_t i = 0; i < 3; i++) {
		struct kb_slice word = literals[i].word;
		if ((size_t)(s->end - s->p) < word.n)
			continue;
		if ((s->strict ? strncmp(s->p, word.p, word.n) : strncasecmp(s->p, word.p, word.n)) == 0) {
			s->p += word.n;
			return literals[i].type;
		}
	}
	return KB_JSON_NONE;
}
