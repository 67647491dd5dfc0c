/*
 * kemibus.core: the core for plain Lua programs and for the specs, for Lua 5.1 to 5.4 and LuaJIT.
 *
 * Errors of data are `nil, message`; arguments of the wrong type raise.
 */
#include <lauxlib.h>
#include <lua.h>
#include "core/headers.h"
#include "core/json.h"
#include "core/json_rewrite.h"
#include "core/routing_key.h"
#include "core/uuid.h"
#include "rock/ring.h"

static struct kb_slice check_slice(lua_State *L, int index)
{
	struct kb_slice s;
	s.p = luaL_checklstring(L, index, &s.n);
	return s;
}

/* Pushes what the buffer holds and ends it; nil and a message when memory was out. A buffer lives outside of Lua:
 * between its first byte and this call nothing may raise. */
static int push_buf(lua_State *L, struct kb_buf *b)
{
	int results = 1;
	if (b->failed) {
		lua_pushnil(L);
		lua_pushliteral(L, "out of memory");
		results = 2;
	} else {
		lua_pushlstring(L, b->p ? b->p : "", b->n);
	}
	kb_buf_free(b);
	return results;
}

/* -- JSON -- */

static const char *const rule_names[] = {"add", "set", "remove", NULL};

/* A string in the table on top of the stack, which keeps it alive. */
static struct kb_slice field(lua_State *L, const char *name)
{
	struct kb_slice s = {NULL, 0};
	lua_getfield(L, -1, name);
	if (lua_type(L, -1) == LUA_TSTRING)
		s.p = lua_tolstring(L, -1, &s.n);
	else if (!lua_isnil(L, -1))
		luaL_error(L, "%s of an edit must be a string", name);
	lua_pop(L, 1);
	return s;
}

static void read_edit(lua_State *L, struct kb_json_edit *edit)
{
	luaL_checktype(L, -1, LUA_TTABLE);
	lua_getfield(L, -1, "rule");
	edit->rule = (enum kb_json_rule)luaL_checkoption(L, -1, "add", rule_names);
	lua_pop(L, 1);
	lua_getfield(L, -1, "number");
	edit->number = lua_toboolean(L, -1);
	lua_pop(L, 1);
	edit->key = field(L, "key");
	edit->value = field(L, "value");
}

static size_t read_edits(lua_State *L, int index, struct kb_json_edit edits[KB_JSON_EDITS_MAX])
{
	size_t n = 0;
	if (lua_isnoneornil(L, index))
		return 0;
	luaL_checktype(L, index, LUA_TTABLE);
	for (;; n++) {
		lua_rawgeti(L, index, (int)n + 1);
		if (lua_isnil(L, -1))
			break;
		if (n == KB_JSON_EDITS_MAX)
			luaL_error(L, "more than %d edits", KB_JSON_EDITS_MAX);
		read_edit(L, &edits[n]);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return n;
}

/*
 * rewrite(text [, edits]) -> strict JSON | nil, message, offset
 *
 * text: one JSON object, read leniently. edits: a list of { key, value, number = boolean, rule = "add" (if absent or
 * null, the default), "set" or "remove" }, fields by name. offset: where in the text, from 0.
 */
static int json_rewrite(lua_State *L)
{
	struct kb_slice text = check_slice(L, 1);
	struct kb_json_edit edits[KB_JSON_EDITS_MAX];
	size_t n = read_edits(L, 2, edits);
	struct kb_buf out = {0};
	struct kb_json_error error;
	if (kb_json_rewrite(text, edits, n, &out, &error))
		return push_buf(L, &out);
	kb_buf_free(&out);
	lua_pushnil(L);
	lua_pushstring(L, error.what);
	lua_pushinteger(L, (lua_Integer)error.at);
	return 3;
}

static const char *const type_names[] = {"none", "null", "false", "true", "number", "string", "array", "object"};

static struct kb_json_value get(lua_State *L)
{
	struct kb_slice text = check_slice(L, 1), path = check_slice(L, 2);
	size_t n;
	const char *escape = luaL_optlstring(L, 3, "%", &n);
	luaL_argcheck(L, n == 1, 3, "one character");
	return kb_json_get(text, path, escape[0]);
}

/* get(text, path [, escape]) -> text of the value, type | nil, type: "none" or "null". Objects and arrays are strict
 * JSON. The path is that of kazoo_json; escape (default "%") stands for a dot inside a key. */
static int json_get(lua_State *L)
{
	struct kb_json_value value = get(L);
	if (value.type == KB_JSON_NONE || value.type == KB_JSON_NULL) {
		lua_pushnil(L);
	} else {
		struct kb_buf text = {0};
		kb_json_text(value, &text);
		if (push_buf(L, &text) == 2)
			return 2;
	}
	lua_pushstring(L, type_names[value.type]);
	return 2;
}

/* count(text, path [, escape]) -> items of the array there; 0 for anything else */
static int json_count(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)kb_json_count(get(L)));
	return 1;
}

/* quote(text) -> the bytes as a JSON string, quotes included */
static int json_quote(lua_State *L)
{
	struct kb_slice text = check_slice(L, 1);
	struct kb_buf out = {0};
	kb_json_quote(text, &out);
	return push_buf(L, &out);
}

struct collected {
	struct kb_buf keys; /* each behind its length */
};

static bool collect_key(void *context, struct kb_slice key, struct kb_json_value value)
{
	struct collected *c = context;
	(void)value;
	kb_headers_add(&c->keys, key, kb_slice(NULL, 0));
	return !c->keys.failed;
}

/* Pushes the names of a sequence of headers as a list. It may raise when memory is out: `copy`, a string on the stack,
 * holds the bytes by then. */
static void push_names(lua_State *L, int copy)
{
	struct kb_slice rest, name, value;
	rest.p = lua_tolstring(L, copy, &rest.n);
	lua_newtable(L);
	for (int i = 1; kb_headers_next(&rest, &name, &value); i++) {
		lua_pushlstring(L, name.n ? name.p : "", name.n);
		lua_rawseti(L, -2, i);
	}
}

/* keys(text) -> list of the keys of an object, in their order | nil, message. An array has as many empty keys as
 * items. */
static int json_keys(lua_State *L)
{
	struct kb_slice text = check_slice(L, 1);
	struct collected c = {{0}};
	if (!kb_json_each(text, collect_key, &c)) {
		kb_buf_free(&c.keys);
		lua_pushnil(L);
		lua_pushliteral(L, "neither an object nor an array");
		return 2;
	}
	if (push_buf(L, &c.keys) == 2)
		return 2;
	push_names(L, lua_gettop(L));
	return 1;
}

/* -- other text -- */

/* encode(word) -> the word for a routing key */
static int routing_key_encode(lua_State *L)
{
	struct kb_slice word = check_slice(L, 1);
	struct kb_buf out = {0};
	kb_routing_key_encode(word, &out);
	return push_buf(L, &out);
}

/* headers(text) -> list of { name, value } | nil, message. text: "k=v;k2=v2" */
static int parse_headers(lua_State *L)
{
	struct kb_slice bad, name, value, rest = check_slice(L, 1);
	struct kb_buf headers = {0};
	if (!kb_headers_parse(rest, &headers, &bad)) {
		kb_buf_free(&headers);
		lua_pushnil(L);
		lua_pushliteral(L, "no name and = in: ");
		lua_pushlstring(L, bad.p, bad.n);
		lua_concat(L, 2);
		return 2;
	}
	if (push_buf(L, &headers) == 2)
		return 2;
	rest.p = lua_tolstring(L, -1, &rest.n);
	lua_newtable(L);
	for (int i = 1; kb_headers_next(&rest, &name, &value); i++) {
		lua_newtable(L);
		lua_pushlstring(L, name.p, name.n);
		lua_rawseti(L, -2, 1);
		lua_pushlstring(L, value.p, value.n);
		lua_rawseti(L, -2, 2);
		lua_rawseti(L, -2, i);
	}
	return 1;
}

/* uuid() -> 36 characters */
static int uuid(lua_State *L)
{
	char text[KB_UUID_CHARS];
	kb_uuid_make(text);
	lua_pushlstring(L, text, sizeof text);
	return 1;
}

/* -- the module -- */

static void set_functions(lua_State *L, const luaL_Reg *functions)
{
	for (; functions->name; functions++) {
		lua_pushcfunction(L, functions->func);
		lua_setfield(L, -2, functions->name);
	}
}

__attribute__((visibility("default"))) int luaopen_kemibus_core(lua_State *L)
{
	static const luaL_Reg functions[] = {{"rewrite", json_rewrite}, {"get", json_get}, {"count", json_count},
		{"quote", json_quote}, {"keys", json_keys}, {"encode", routing_key_encode}, {"headers", parse_headers},
		{"uuid", uuid}, {"ring", kb_rock_ring_new}, {NULL, NULL}};
	kb_rock_ring_open(L);
	lua_newtable(L);
	set_functions(L, functions);
	return 1;
}
