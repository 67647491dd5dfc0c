/* policy/codec: a text that may be JSON, to Lua and back. */
#include "policy/codec.h"
#include "policy/codec_encode.h"

#include <lauxlib.h>
#include <lualib.h>
#include "core/json.h"
#include "fuzz.h"

/* Numbers are written with 14 digits. */
static const char same_code[] = "local function same(a, b)\n"
								"  if type(a) == 'number' and type(b) == 'number' then\n"
								"    return a == b or math.abs(a - b) <= math.abs(a) * 1e-13\n"
								"  end\n"
								"  if type(a) ~= 'table' or type(b) ~= 'table' then return a == b end\n"
								"  for k, v in pairs(a) do if not same(v, b[k]) then return false end end\n"
								"  for k in pairs(b) do if a[k] == nil then return false end end\n"
								"  return true\n"
								"end\n"
								"return same";

/* With `same` at stack index 1. */
static lua_State *state(void)
{
	static lua_State *L;
	if (!L) {
		L = luaL_newstate();
		MUST(L);
		luaL_openlibs(L);
		MUST(luaL_dostring(L, same_code) == 0);
	}
	lua_settop(L, 1);
	return L;
}

/* Encodes the value at stack index 2 and decodes that again. */
static void comes_back(lua_State *L)
{
	struct kb_slice text;
	size_t at;
	lua_pushcfunction(L, kb_codec_encode);
	lua_pushvalue(L, 2);
	if (lua_pcall(L, 1, 1, 0) != 0) { /* a number that was too large is infinite */
		MUST(strstr(lua_tostring(L, -1), "must not be NaN or Inf"));
		return;
	}
	text.p = lua_tolstring(L, -1, &text.n);
	MUST(kb_codec_decode(L, text, &at) == NULL);
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 2);
	lua_pushvalue(L, -3);
	MUST(lua_pcall(L, 2, 1, 0) == 0 && lua_toboolean(L, -1));
}

static size_t brackets(struct kb_slice text)
{
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '[' || text.p[i] == '{';
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct kb_slice text = kb_slice(bytes, size);
	lua_State *L = state();
	size_t at;
	const char *wrong = kb_codec_decode(L, text, &at);
	MUST(at <= size && lua_gettop(L) == (wrong ? 1 : 2));
	if (wrong)
		return 0;
	comes_back(L);
	/* What reads leniently reads all of this. */
	MUST(kb_json_get(text, kb_slice(NULL, 0), '%').type != KB_JSON_NONE || brackets(text) > KB_JSON_DEPTH_MAX);
	return 0;
}
