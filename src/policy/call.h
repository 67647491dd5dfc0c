/* The one way into Lua: a protected call with a handler that says where an error came from. */
#ifndef KB_POLICY_CALL_H
#define KB_POLICY_CALL_H

#include <lua.h>

/* Makes the handler, once for each state; for lua_cpcall(), since it raises when memory is out. */
int kb_call_prepare(lua_State *L);

/* Calls the function below the n_args on top of the stack; n_results take their place, or one line of text when the
 * status is not 0 (LUA_ERRRUN, LUA_ERRMEM, LUA_ERRERR). Never raises; needs two free slots of the stack. */
int kb_call(lua_State *L, int n_args, int n_results);

#endif
