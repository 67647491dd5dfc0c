#include "policy/codec.h"

#include <lauxlib.h>

#include "core/json_scan.h"
#include "policy/codec_encode.h"

struct reader {
	lua_State *L;
	struct kb_json_scan s;
};

typedef const char *problem; /* NULL: none */

/* Bytes of an unescaped string, which are never more than those of its source. */
struct bytes {
	char *p;
	size_t n;
};

static problem add_escape(struct reader *r, struct bytes *b)
{
	char bytes[4];
	size_t n = kb_json_scan_escape(&r->s, bytes);
	memcpy(b->p + b->n, bytes, n);
	b->n += n;
	return n ? NULL : "invalid escape in a string";
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
	while (r->s.p < quote) {
		const char *from = r->s.p;
		while (r->s.p < quote && *r->s.p != '\\')
			r->s.p++;
		memcpy(b->p + b->n, from, (size_t)(r->s.p - from));
		b->n += (size_t)(r->s.p - from);
		problem wrong = kb_json_scan_take(&r->s, '\\') ? add_escape(r, b) : NULL;
		if (wrong)
			return wrong;
	}
	r->s.p = quote + 1;
	return NULL;
}

/* A string that has an escape. */
static problem read_escaped(struct reader *r)
{
	const char *quote = quote_after(r->s.p, r->s.end);
	if (!quote)
		return "unterminated string";
	struct bytes b = {.p = lua_newuserdata(r->L, (size_t)(quote - r->s.p))};
	problem wrong = unescape(r, quote, &b);
	if (wrong)
		return wrong;
	lua_pushlstring(r->L, b.p, b.n);
	lua_remove(r->L, -2);
	return NULL;
}

static problem read_string(struct reader *r)
{
	const char *end = kb_json_scan_plain(r->s.p, r->s.end);
	while (end < r->s.end && is_plain(*end))
		end++;
	if (end == r->s.end)
		return "unterminated string";
	if (*end != '"')
		return read_escaped(r);
	lua_pushlstring(r->L, r->s.p, (size_t)(end - r->s.p));
	r->s.p = end + 1;
	return NULL;
}

static void push_whole_number(lua_State *L, struct kb_json_number number, bool negative)
{
	int64_t value = 0;
	for (const char *p = number.whole; p < number.whole_end; p++)
		value = value * 10 + (*p - '0');
	lua_pushnumber(L, negative ? -(lua_Number)value : (lua_Number)value);
}

static problem read_number(struct reader *r)
{
	struct kb_json_number number;
	const char *from = r->s.p;
	bool good = kb_json_scan_number(&r->s, &number);
	size_t n = good ? (size_t)(number.whole_end - number.whole) : 0;
	if (!good || (n > 1 && *number.whole == '0'))
		return "invalid number";
	if (r->s.p == number.whole_end && n <= 15) {
		push_whole_number(r->L, number, *from == '-');
		return NULL;
	}
	/* Lua's own reading of numbers does not depend on the locale. */
	lua_pushlstring(r->L, from, (size_t)(r->s.p - from));
	lua_pushnumber(r->L, lua_tonumber(r->L, -1));
	lua_remove(r->L, -2);
	return NULL;
}

static problem read_literal(struct reader *r)
{
	switch (kb_json_scan_literal(&r->s)) {
	case KB_JSON_TRUE: lua_pushboolean(r->L, 1); return NULL;
	case KB_JSON_FALSE: lua_pushboolean(r->L, 0); return NULL;
	case KB_JSON_NULL: lua_pushlightuserdata(r->L, NULL); return NULL;
	default: return "value expected";
	}
}

static problem read_value(struct reader *r);

static problem read_member(struct reader *r)
{
	if (!kb_json_scan_take(&r->s, '"'))
		return "string expected as key";
	problem wrong = read_string(r);
	if (wrong)
		return wrong;
	kb_json_scan_blanks(&r->s);
	if (!kb_json_scan_take(&r->s, ':'))
		return "colon expected after a key";
	kb_json_scan_blanks(&r->s);
	wrong = read_value(r);
	if (!wrong)
		lua_rawset(r->L, -3);
	return wrong;
}

/* Room for the members of an object, guessed: too little costs rehashing, too much memory. An empty one gets none. */
static int members_guessed(const struct reader *r)
{
	size_t left = (size_t)(r->s.end - r->s.p);
	if (left == 0 || *r->s.p == '}')
		return 0;
	if (r->s.depth > 1)
		return 2;
	return left / 24 > 16 ? 16 : (int)(left / 24);
}

static problem read_object(struct reader *r)
{
	lua_createtable(r->L, 0, members_guessed(r));
	kb_json_scan_blanks(&r->s);
	if (kb_json_scan_take(&r->s, '}'))
		return NULL;
	for (;;) {
		problem wrong = read_member(r);
		if (wrong)
			return wrong;
		kb_json_scan_blanks(&r->s);
		if (kb_json_scan_take(&r->s, '}'))
			return NULL;
		if (!kb_json_scan_take(&r->s, ','))
			return "comma expected between two members";
		kb_json_scan_blanks(&r->s);
	}
}

static problem read_array(struct reader *r)
{
	lua_createtable(r->L, 0, 0);
	kb_json_scan_blanks(&r->s);
	if (kb_json_scan_take(&r->s, ']'))
		return NULL;
	for (int i = 1;; i++) {
		problem wrong = read_value(r);
		if (wrong)
			return wrong;
		lua_rawseti(r->L, -2, i);
		kb_json_scan_blanks(&r->s);
		if (kb_json_scan_take(&r->s, ']'))
			return NULL;
		if (!kb_json_scan_take(&r->s, ','))
			return "comma expected between two items";
		kb_json_scan_blanks(&r->s);
	}
}

static problem read_nested(struct reader *r, problem (*read)(struct reader *))
{
	if (r->s.depth == KB_CODEC_DEPTH_MAX || !lua_checkstack(r->L, 6))
		return "nested too deeply";
	r->s.depth++;
	problem wrong = read(r);
	r->s.depth--;
	return wrong;
}

static problem read_value(struct reader *r)
{
	if (kb_json_scan_take(&r->s, '"'))
		return read_string(r);
	if (kb_json_scan_take(&r->s, '{'))
		return read_nested(r, read_object);
	if (kb_json_scan_take(&r->s, '['))
		return read_nested(r, read_array);
	if (kb_json_scan_at_number(&r->s))
		return read_number(r);
	return read_literal(r);
}

static problem read_document(struct reader *r)
{
	kb_json_scan_blanks(&r->s);
	problem wrong = lua_checkstack(r->L, 6) ? read_value(r) : "nested too deeply";
	if (wrong)
		return wrong;
	kb_json_scan_blanks(&r->s);
	return r->s.p == r->s.end ? NULL : "unexpected text after the value";
}

const char *kb_codec_decode(lua_State *L, struct kb_slice text, size_t *at)
{
	struct reader r = {L, kb_json_scan_of(text)};
	r.s.strict = true;
	int top = lua_gettop(L);
	problem wrong = read_document(&r);
	if (wrong)
		lua_settop(L, top);
	*at = (size_t)(r.s.p - r.s.start);
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
