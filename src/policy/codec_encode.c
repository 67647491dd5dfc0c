#include "policy/codec_encode.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include "policy/codec.h"

/* The text so far, in a userdata at stack index `slot`: an error leaves nothing behind. */
struct writer {
	lua_State *L;
	int slot, depth;
	char *p;
	size_t n, capacity;
};

static void grow(struct writer *w, size_t more)
{
	size_t capacity = w->capacity ? w->capacity : 256;
	while (capacity < w->n + more)
		capacity *= 2;
	char *p = lua_newuserdata(w->L, capacity);
	if (w->n)
		memcpy(p, w->p, w->n);
	lua_replace(w->L, w->slot);
	w->p = p;
	w->capacity = capacity;
}

static void put(struct writer *w, const char *bytes, size_t n)
{
	if (n > w->capacity - w->n)
		grow(w, n);
	if (n)
		memcpy(w->p + w->n, bytes, n);
	w->n += n;
}

static size_t escape_of(unsigned char c, char to[6])
{
	static const char names[] = "\"\\/bfnrt", codes[] = "\"\\/\b\f\n\r\t", hex[] = "0123456789abcdef";
	const char *code = c ? strchr(codes, c) : NULL;
	memcpy(to, "\\u00", 4);
	to[4] = hex[c >> 4];
	to[5] = hex[c & 15];
	if (!code)
		return 6;
	to[1] = names[code - codes];
	return 2;
}

static void put_string(struct writer *w, int index)
{
	size_t n, from = 0;
	const char *p = lua_tolstring(w->L, index, &n);
	put(w, "\"", 1);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];
		if (c >= 0x20 && c != '"' && c != '\\' && c != '/' && c != 0x7f)
			continue;
		char to[6];
		put(w, p + from, i - from);
		put(w, to, escape_of(c, to));
		from = i + 1;
	}
	put(w, p + from, n - from);
	put(w, "\"", 1);
}

static void put_number(struct writer *w, int index)
{
	lua_Number value = lua_tonumber(w->L, index);
	if (value - value != 0)
		luaL_error(w->L, "cannot serialise number: must not be NaN or Inf");
	lua_pushvalue(w->L, index); /* lua_tolstring() would change the value in place */
	size_t n;
	const char *p = lua_tolstring(w->L, -1, &n);
	put(w, p, n);
	lua_pop(w->L, 1);
}

/* The length of the array on top of the stack; -1 when a key cannot be an index, or the table is empty: an object.
 */
static long array_length(lua_State *L)
{
	long n = 0, highest = 0;
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		lua_Number key = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
		lua_pop(L, 1);
		if (key < 1 || key > INT32_MAX || key != (lua_Number)(long)key) {
			lua_pop(L, 1);
			return -1;
		}
		highest = (long)key > highest ? (long)key : highest;
		n++;
	}
	if (highest > 10 && highest > n * 2)
		luaL_error(L, "cannot serialise table: excessively sparse array");
	return n ? highest : -1;
}

static void put_value(struct writer *w);

static void put_array(struct writer *w, long n)
{
	put(w, "[", 1);
	for (long i = 1; i <= n; i++) {
		if (i > 1)
			put(w, ",", 1);
		lua_rawgeti(w->L, -1, (int)i);
		put_value(w);
		lua_pop(w->L, 1);
	}
	put(w, "]", 1);
}

static void put_key(struct writer *w)
{
	int type = lua_type(w->L, -2);
	if (type == LUA_TSTRING) {
		put_string(w, -2);
	} else if (type == LUA_TNUMBER) {
		put(w, "\"", 1);
		put_number(w, -2);
		put(w, "\"", 1);
	} else {
		luaL_error(w->L, "cannot serialise a key of type %s: it must be a number or string", lua_typename(w->L, type));
	}
	put(w, ":", 1);
}

static void put_object(struct writer *w)
{
	bool first = true;
	put(w, "{", 1);
	lua_pushnil(w->L);
	while (lua_next(w->L, -2)) {
		if (!first)
			put(w, ",", 1);
		first = false;
		put_key(w);
		put_value(w);
		lua_pop(w->L, 1);
	}
	put(w, "}", 1);
}

static void put_table(struct writer *w)
{
	if (w->depth == KB_CODEC_DEPTH_MAX || !lua_checkstack(w->L, 8))
		luaL_error(w->L, "cannot serialise table: nested too deeply");
	w->depth++;
	long n = array_length(w->L);
	if (n < 0)
		put_object(w);
	else
		put_array(w, n);
	w->depth--;
}

/* Writes the value on top of the stack, and leaves it there. */
static void put_value(struct writer *w)
{
	int type = lua_type(w->L, -1);
	bool null = type == LUA_TNIL || (type == LUA_TLIGHTUSERDATA && !lua_touserdata(w->L, -1));
	if (null)
		put(w, "null", 4);
	else if (type == LUA_TSTRING)
		put_string(w, -1);
	else if (type == LUA_TNUMBER)
		put_number(w, -1);
	else if (type == LUA_TBOOLEAN && lua_toboolean(w->L, -1))
		put(w, "true", 4);
	else if (type == LUA_TBOOLEAN)
		put(w, "false", 5);
	else if (type == LUA_TTABLE)
		put_table(w);
	else
		luaL_error(w->L, "cannot serialise %s: type not supported", lua_typename(w->L, type));
}

int kb_codec_encode(lua_State *L)
{
	luaL_checkany(L, 1);
	lua_settop(L, 1);
	lua_pushnil(L); /* the writer's slot */
	lua_insert(L, 1);
	struct writer w = {.L = L, .slot = 1};
	put_value(&w);
	lua_pushlstring(L, w.p, w.n);
	return 1;
}
