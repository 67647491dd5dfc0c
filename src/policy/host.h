/* What the Lua side of the host is given. */
#ifndef KB_POLICY_HOST_H
#define KB_POLICY_HOST_H

#include <lua.h>
#include "policy/policy.h"

/* Pushes the table that main.lua is called with: functions, settings, and the sources compiled in. */
void kb_host_push(lua_State *L, const struct kb_policy_config *config);

#endif
