/* Which code is the host's own: its limits and its error messages are about the operator's. */
#ifndef KB_POLICY_ORIGIN_H
#define KB_POLICY_ORIGIN_H

#include <lua.h>
#include <stdbool.h>
#include <string.h>

/* Whether a function is the host's. lua_getinfo() must have filled in its source ("S"). */
static inline bool kb_origin_is_host(const lua_Debug *function)
{
	return strcmp(function->source, "=kemibus host") == 0;
}

#endif
