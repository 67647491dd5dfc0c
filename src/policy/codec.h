/*
 * JSON to Lua and back, as `cjson` inside the host.
 *
 * lua-cjson itself cannot be used there: its library leaves the lua_* symbols to whichever Lua the process made global,
 * which beside app_lua is another one than ours; and it ends the process when memory is out. This one allocates nothing
 * but Lua values, so the state's memory limit holds for it.
 */
#ifndef KB_POLICY_CODEC_H
#define KB_POLICY_CODEC_H

#include <lua.h>
#include "core/slice.h"

enum { KB_CODEC_DEPTH_MAX = 1000 }; /* as in lua-cjson */

/* Pushes the decoded value (null is a light userdata NULL) and returns NULL; or pushes nothing and returns what is
 * wrong, a literal, with the byte offset in *at. Of equal keys the last counts. Raises a Lua error only when memory is
 * out. */
const char *kb_codec_decode(lua_State *L, struct kb_slice text, size_t *at);

/* Opens the module: decode, encode and null, with the contract of lua-cjson's. */
int kb_codec_open(lua_State *L);

#endif
