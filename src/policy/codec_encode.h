/* The writing half of the codec: Lua values as JSON. */
#ifndef KB_POLICY_CODEC_ENCODE_H
#define KB_POLICY_CODEC_ENCODE_H

#include <lua.h>

/* cjson.encode(value), as a C function of Lua: raises an error for what JSON cannot hold. */
int kb_codec_encode(lua_State *L);

#endif
