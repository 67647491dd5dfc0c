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

void kb_json_scan_lose(struct kb_json_scan *s, const char *what, const char *at)
{
	if (!s->lost.what)
		s->lost = (struct kb_json_error){what, (size_t)(at - s->start)};
}

/* -- comments -- */

/* The byte behind the comment that begins at p; NULL: none does, or it has no end. */
static const char *comment_end(const char *p, const char *end)
{
	if (end - p < 2 || (p[1] != '/' && p[1] != '*'))
		return NULL;
	if (p[1] == '/')
		return memchr(p, '\n', (size_t)(end - p));
	for (p += 2; end - p >= 2; p++)
		if (p[0] == '*' && p[1] == '/')
			return p + 2;
	return NULL;
}

void kb_json_scan_comments(struct kb_json_scan *s)
{
	while (s->p < s->end && *s->p == '/') {
		const char *behind = comment_end(s->p, s->end);
		if (!behind)
			return;
		kb_json_scan_lose(s, "comment removed", s->p);
		s->p = behind;
		while (s->p < s->end && kb_json_scan_is_blank(*s->p))
			s->p++;
	}
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

static bool skip_fraction(struct kb_json_scan *s, struct kb_json_number *number)
{
	bool bare_whole = number->whole == number->whole_end;
	if (!kb_json_scan_take(s, '.') || skip_digits(s) > 0)
		return true;
	if (bare_whole)
		return kb_json_scan_fail(s, "number without digits");
	number->bare_point = true;
	return s->strict ? kb_json_scan_fail(s, "number without digits after the decimal point") : true;
}

static bool skip_exponent(struct kb_json_scan *s, struct kb_json_number *number)
{
	number->end = s->p;
	if (!kb_json_scan_take(s, 'e') && !kb_json_scan_take(s, 'E'))
		return true;
	if (!kb_json_scan_take(s, '+'))
		kb_json_scan_take(s, '-');
	if (skip_digits(s) > 0)
		number->end = s->p;
	else if (s->strict)
		return kb_json_scan_fail(s, "number without digits in its exponent");
	return true;
}

bool kb_json_scan_number(struct kb_json_scan *s, struct kb_json_number *number)
{
	bool negative = kb_json_scan_take(s, '-'), before_point;
	number->whole = s->p;
	number->bare_point = false;
	before_point = negative && !s->strict && s->p < s->end && *s->p == '.';
	if (skip_digits(s) == 0 && !before_point)
		return kb_json_scan_fail(s, "number without digits");
	number->whole_end = s->p;
	return skip_fraction(s, number) && skip_exponent(s, number);
}

/* JSON has no such numbers: null stands for them, as in JavaScript. */
static const struct {
	struct kb_slice word;
	enum kb_json_type type;
	bool lenient;
} literals[] = {{{"true", 4}, KB_JSON_TRUE, false}, {{"false", 5}, KB_JSON_FALSE, false},
	{{"null", 4}, KB_JSON_NULL, false}, {{"NaN", 3}, KB_JSON_NULL, true}, {{"Infinity", 8}, KB_JSON_NULL, true},
	{{"-Infinity", 9}, KB_JSON_NULL, true}};

static bool is_literal(const struct kb_json_scan *s, size_t i)
{
	struct kb_slice word = literals[i].word;
	if ((size_t)(s->end - s->p) < word.n || (s->strict && literals[i].lenient))
		return false;
	return (s->strict ? strncmp(s->p, word.p, word.n) : strncasecmp(s->p, word.p, word.n)) == 0;
}

enum kb_json_type kb_json_scan_literal(struct kb_json_scan *s)
{
	for (size_t i = 0; i < sizeof literals / sizeof *literals; i++) {
		if (!is_literal(s, i))
			continue;
		if (literals[i].lenient)
			kb_json_scan_lose(s, "NaN or Infinity replaced with null", s->p);
		s->p += literals[i].word.n;
		return literals[i].type;
	}
	return KB_JSON_NONE;
}
