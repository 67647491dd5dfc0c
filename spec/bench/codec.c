/*
 * codec
 *
 * JSON to Lua and back in LuaJIT: the policies' codec (src/policy/codec.c) beside lua-cjson, which it stands in for.
 * One event as presence sends it; best of several rounds, in us of CPU for each call.
 */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include "measure.h"
#include "policy/codec.h"

enum { CALLS = 200000, ROUNDS = 7 };

/* Loops in Lua, where policies call it; the collector's work is part of the cost. */
static const char loops[] = "local cjson, event, calls = ...\n"
							"local value = cjson.decode(event)\n"
							"return function() for _ = 1, calls do cjson.decode(event) end end,\n"
							"       function() for _ = 1, calls do cjson.encode(value) end end\n";

static const char event[] =
	"{\"Event-Category\":\"presence\",\"Event-Name\":\"update\",\"Event-Package\":\"dialog\","
	"\"From\":\"sip:1001@example.com\",\"From-User\":\"1001\",\"From-Realm\":\"example.com\","
	"\"To\":\"sip:1002@example.com\",\"Call-ID\":\"a84b4c76e66710\",\"Direction\":\"initiator\","
	"\"State\":\"confirmed\",\"Expires\":3600,\"Msg-ID\":\"3f1c\"}";

static void must(lua_State *L, int status)
{
	if (status == 0)
		return;
	fprintf(stderr, "codec: %s\n", lua_tostring(L, -1));
	exit(1);
}

/* Of the function at the index. */
static double best_us(lua_State *L, int index)
{
	double best = 1e9;
	for (int round = 0; round < ROUNDS; round++) {
		double start = cpu_s(RUSAGE_SELF);
		lua_pushvalue(L, index);
		must(L, lua_pcall(L, 0, 0, 0));
		double us = (cpu_s(RUSAGE_SELF) - start) / CALLS * 1e6;
		best = us < best ? us : best;
	}
	return best;
}

/* With the module `cjson` on top of the stack. */
static void measure(lua_State *L, const char *name)
{
	must(L, luaL_loadstring(L, loops));
	lua_insert(L, -2);
	lua_pushstring(L, event);
	lua_pushinteger(L, CALLS);
	must(L, lua_pcall(L, 3, 2, 0));
	double decode = best_us(L, lua_gettop(L) - 1), encode = best_us(L, lua_gettop(L));
	printf("%-20s decode %6.3f us  encode %6.3f us\n", name, decode, encode);
}

int main(void)
{
	lua_State *L = luaL_newstate();
	if (!L)
		return 1;
	luaL_openlibs(L);
	lua_pushcfunction(L, kb_codec_open);
	must(L, lua_pcall(L, 0, 1, 0));
	measure(L, "src/policy/codec.c");
	lua_getglobal(L, "require");
	lua_pushstring(L, "cjson");
	must(L, lua_pcall(L, 1, 1, 0));
	measure(L, "lua-cjson");
	lua_close(L);
	return 0;
}
