#include "policy/call.h"

#include <lauxlib.h>
#include "policy/origin.h"

enum { LEVELS_MAX = 8 };

static const char handler_key;

/* Appends the chain of calls, innermost first, with a line for each level; of one level the message speaks already. */
static int push_trace(lua_State *L)
{
	lua_Debug level;
	int n = 0;
	for (int i = 1; n < LEVELS_MAX && lua_getstack(L, i, &level); i++) {
		if (!lua_getinfo(L, "Sl", &level) || level.currentline < 0 || kb_origin_is_host(&level))
			continue;
		lua_pushfstring(L, "%s%s:%d", n ? " < " : " [", level.short_src, level.currentline);
		n++;
	}
	if (n == 1) {
		lua_pop(L, 1);
		n = 0;
	}
	if (n)
		lua_pushliteral(L, "]");
	return n ? n + 1 : 0;
}

/* Looks at no metatable: the limits are suspended while it runs. */
static int on_error(lua_State *L)
{
	luaL_checkstack(L, LEVELS_MAX + 4, NULL);
	lua_settop(L, 1);
	if (!lua_isstring(L, 1)) {
		lua_pushfstring(L, "error value is a %s, not a string", luaL_typename(L, 1));
		lua_replace(L, 1);
	}
	lua_concat(L, 1 + push_trace(L));
	return 1;
}

int kb_call_prepare(lua_State *L)
{
	lua_pushlightuserdata(L, (void *)&handler_key);
	lua_pushcfunction(L, on_error);
	lua_rawset(L, LUA_REGISTRYINDEX);
	return 0;
}

int kb_call(lua_State *L, int n_args, int n_results)
{
	int base = lua_gettop(L) - n_args;
	lua_pushlightuserdata(L, (void *)&handler_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	lua_insert(L, base);
	int status = lua_pcall(L, n_args, n_results, base);
	lua_remove(L, base);
	return status;
}
