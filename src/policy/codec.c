#include "policy/codec.h"

#include <lauxlib.h>
#include <stdint.h>

struct reader {
	lua_State *L;
	const char *p, *end;
	int depth;
};

typedef const char *problem; /* NULL: none */

static void skip_blanks(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
		r->p++;
}

static bool take(struct reader *r, char c)
{
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static long hex4(const char *p, const char *end)
{
	long value = 0;
	for (int i = 0; i < 4; i++, p++) {
		if (p == end)
			return -1;
		char c = *p, low = (char)(c | 32);
		int digit = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

/* The code point whose hex digits start at r->p; -1: no digits, or half of a surrogate pair. */
static long read_code_point(struct reader *r)
{
	long high = hex4(r->p, r->end);
	if (high < 0)
		return -1;
	r->p += 4;
	if (high < 0xd800 || high > 0xdfff)
		return high;
	if (high > 0xdbff || r->end - r->p < 6 || r->p[0] != '\\' || r->p[1] != 'u')
		return -1;
	long low = hex4(r->p + 2, r->end);
	if (low < 0xdc00 || low > 0xdfff)
		return -1;
	r->p += 6;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/* Bytes of an unescaped string, which are never more than those of its source. */
struct bytes {
	char *p;
	size_t n;
};

static void add_byte(struct bytes *b, long byte)
{
	b->p[b->n++] = (char)byte;
}

static void add_utf8(struct bytes *b, long code)
{
	if (code < 0x80) {
		add_byte(b, code);
		return;
	}
	if (code < 0x800) {
		add_byte(b, 0xc0 | code >> 6);
	} else {
		if (code < 0x10000) {
			add_byte(b, 0xe0 | code >> 12);
		} else {
			add_byte(b, 0xf0 | code >> 18);
			add_byte(b, 0x80 | (code >> 12 & 63));
		}
		add_byte(b, 0x80 | (code >> 6 & 63));
	}
	add_byte(b, 0x80 | (code & 63));
}

static problem add_escape(struct reader *r, struct bytes *b)
{
	static const char names[] = "\"\\/bfnrt", codes[] = "\"\\/\b\f\n\r\t";
	char c = *r->p++;
	const char *name = c ? strchr(names, c) : NULL;
	if (name) {
		add_byte(b, codes[name - names]);
		return NULL;
	}
	long code = c == 'u' ? read_code_point(r) : -1;
	if (code < 0)
		return "an escape in a string is none of JSON's";
	add_utf8(b, code);
	return NULL;
}

static bool is_plain(char c)
{
	return c != '"' && c != '\\' && c != 0;
}

/* The quote that ends a string whose first bytes are at p; NULL: none. */
static const char *quote_after(const char *p, const char *end)
{
	while (p < end && *p && *p != '"')
		p += *p == '\\' && end - p > 1 ? 2 : 1;
	return p < end && *p == '"' ? p : NULL;
}

/* The source ends with an even number of backslashes, so an escape always has the byte behind its backslash. */
static problem unescape(struct reader *r, const char *quote, struct bytes *b)
{
	while (r->p < quote) {
		const char *from = r->p;
		while (r->p < quote && *r->p != '\\')
			r->p++;
		memcpy(b->p + b->n, from, (size_t)(r->p - from));
		b->n += (size_t)(r->p - from);
		problem wrong = take(r, '\\') ? add_escape(r, b) : NULL;
		if (wrong)
			return wrong;
	}
	r->p = quote + 1;
	return NULL;
}

/* A string that has an escape. */
static problem read_escaped(struct reader *r)
{
	const char *quote = quote_after(r->p, r->end);
	if (!quote)
		return "the string has no end";
	struct bytes b = {.p = lua_newuserdata(r->L, (size_t)(quote - r->p))};
	problem wrong = unescape(r, quote, &b);
	if (wrong)
		return wrong;
	lua_pushlstring(r->L, b.p, b.n);
	lua_remove(r->L, -2);
	return NULL;
}

static problem read_string(struct reader *r)
{
	const char *end = r->p;
	while (end < r->end && is_plain(*end))
		end++;
	if (end == r->end)
		return "the string has no end";
	if (*end != '"')
		return read_escaped(r);
	lua_pushlstring(r->L, r->p, (size_t)(end - r->p));
	r->p = end + 1;
	return NULL;
}

static size_t skip_digits(struct reader *r)
{
	const char *from = r->p;
	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return (size_t)(r->p - from);
}

static bool skip_fraction(struct reader *r)
{
	if (take(r, '.') && !skip_digits(r))
		return false;
	if (r->p < r->end && (*r->p | 32) == 'e') {
		r->p++;
		if (!take(r, '+'))
			take(r, '-');
		return skip_digits(r) > 0;
	}
	return true;
}

static problem read_number(struct reader *r)
{
	const char *from = r->p;
	bool negative = take(r, '-');
	const char *digits = r->p;
	size_t n = skip_digits(r);
	const char *whole_end = r->p;
	if (n == 0 || (n > 1 && *digits == '0') || !skip_fraction(r))
		return "the number is none of JSON's";
	if (r->p == whole_end && n <= 15) {
		int64_t value = 0;
		for (const char *p = digits; p < whole_end; p++)
			value = value * 10 + (*p - '0');
		lua_pushnumber(r->L, negative ? -(lua_Number)value : (lua_Number)value);
		return NULL;
	}
	/* Lua's own reading of numbers does not depend on the locale. */
	lua_pushlstring(r->L, from, (size_t)(r->p - from));
	lua_pushnumber(r->L, lua_tonumber(r->L, -1));
	lua_remove(r->L, -2);
	return NULL;
}

static bool take_word(struct reader *r, struct kb_slice word)
{
	if ((size_t)(r->end - r->p) < word.n || memcmp(r->p, word.p, word.n) != 0)
		return false;
	r->p += word.n;
	return true;
}

static problem read_literal(struct reader *r)
{
	if (take_word(r, KB_SLICE_LITERAL("true")))
		lua_pushboolean(r->L, 1);
	else if (take_word(r, KB_SLICE_LITERAL("false")))
		lua_pushboolean(r->L, 0);
	else if (take_word(r, KB_SLICE_LITERAL("null")))
		lua_pushlightuserdata(r->L, NULL);
	else
		return "a value is missing";
	return NULL;
}

static problem read_value(struct reader *r);

static problem read_member(struct reader *r)
{
	if (!take(r, '"'))
		return "a key is missing";
	problem wrong = read_string(r);
	if (wrong)
		return wrong;
	skip_blanks(r);
	if (!take(r, ':'))
		return "the colon behind a key is missing";
	skip_blanks(r);
	wrong = read_value(r);
	if (!wrong)
		lua_rawset(r->L, -3);
	return wrong;
}

/* Room for the members of an object, guessed: too little costs rehashing, too much memory. An empty one gets none. */
static int members_guessed(const struct reader *r)
{
	size_t left = (size_t)(r->end - r->p);
	if (left == 0 || *r->p == '}')
		return 0;
	if (r->depth > 1)
		return 2;
	return left / 24 > 16 ? 16 : (int)(left / 24);
}

static problem read_object(struct reader *r)
{
	lua_createtable(r->L, 0, members_guessed(r));
	skip_blanks(r);
	if (take(r, '}'))
		return NULL;
	for (;;) {
		problem wrong = read_member(r);
		if (wrong)
			return wrong;
		skip_blanks(r);
		if (take(r, '}'))
			return NULL;
		if (!take(r, ','))
			return "the comma between two members is missing";
		skip_blanks(r);
	}
}

static problem read_array(struct reader *r)
{
	lua_createtable(r->L, 0, 0);
	skip_blanks(r);
	if (take(r, ']'))
		return NULL;
	for (int i = 1;; i++) {
		problem wrong = read_value(r);
		if (wrong)
			return wrong;
		lua_rawseti(r->L, -2, i);
		skip_blanks(r);
		if (take(r, ']'))
			return NULL;
		if (!take(r, ','))
			return "the comma between two items is missing";
		skip_blanks(r);
	}
}

static problem read_nested(struct reader *r, problem (*read)(struct reader *))
{
	if (r->depth == KB_CODEC_DEPTH_MAX || !lua_checkstack(r->L, 6))
		return "nested too deep";
	r->depth++;
	problem wrong = read(r);
	r->depth--;
	return wrong;
}

static problem read_value(struct reader *r)
{
	if (take(r, '"'))
		return read_string(r);
	if (take(r, '{'))
		return read_nested(r, read_object);
	if (take(r, '['))
		return read_nested(r, read_array);
	if (r->p < r->end && (*r->p == '-' || (*r->p >= '0' && *r->p <= '9')))
		return read_number(r);
	return read_literal(r);
}

static problem read_document(struct reader *r)
{
	skip_blanks(r);
	problem wrong = lua_checkstack(r->L, 6) ? read_value(r) : "nested too deep";
	if (wrong)
		return wrong;
	skip_blanks(r);
	return r->p == r->end ? NULL : "something follows the value";
}

const char *kb_codec_decode(lua_State *L, struct kb_slice text, size_t *at)
{
	struct reader r = {.L = L, .p = text.p, .end = text.p + text.n};
	int top = lua_gettop(L);
	problem wrong = read_document(&r);
	if (wrong)
		lua_settop(L, top);
	*at = (size_t)(r.p - text.p);
	return wrong;
}

static int decode(lua_State *L)
{
	struct kb_slice text;
	size_t at;
	text.p = luaL_checklstring(L, 1, &text.n);
	problem wrong = kb_codec_decode(L, text, &at);
	if (wrong)
		return luaL_error(L, "JSON: %s, at character %d", wrong, (int)at + 1);
	return 1;
}

int kb_codec_open(lua_State *L)
{
	lua_newtable(L);
	lua_pushcfunction(L, decode);
	lua_setfield(L, -2, "decode");
	lua_pushcfunction(L, kb_codec_encode);
	lua_setfield(L, -2, "encode");
	lua_pushlightuserdata(L, NULL);
	lua_setfield(L, -2, "null");
	return 1;
}
