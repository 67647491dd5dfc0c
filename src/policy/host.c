/* The C functions that the Lua side of the host calls: main.lua and sandbox.lua. */
#include "policy/host.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "policy/call.h"
#include "policy/codec.h"
#include "policy/embedded.h"
#include "policy/state.h"

enum {
	FILE_MAX = 4 * 1024 * 1024,
	RESULTS_MAX = 2 /* of an operator's function */
};

static const char *const function_names[KB_POLICY_FUNCTIONS + 1] = {"event_key", "route_names"};

static int host_route_index(lua_State *L)
{
	struct kb_policy *policy = kb_state_of(L);
	size_t n;
	const char *name = luaL_checklstring(L, 1, &n);
	bool has_nul = memchr(name, 0, n) != NULL;
	lua_pushinteger(L, has_nul ? KB_POLICY_NO_ROUTE : policy->route_index(name, policy->context));
	return 1;
}

/* The current message's payload as a table, nil when it is no object or array. */
static int host_payload(lua_State *L)
{
	size_t at;
	if (kb_codec_decode(L, kb_state_of(L)->payload, &at) || !lua_istable(L, -1))
		lua_pushnil(L);
	return 1;
}

static int host_text(lua_State *L)
{
	kb_state_push_slice(L, kb_state_of(L)->payload);
	return 1;
}

static int host_message(lua_State *L)
{
	const struct kb_message *m = kb_state_of(L)->message;
	kb_state_push_slice(L, m->exchange);
	kb_state_push_slice(L, m->key);
	lua_pushboolean(L, (m->origin.flags & KB_REDELIVERED) != 0);
	return 3;
}

/* Why a call has failed, with the error on top of the stack, and room again for what is to be done about it. */
static void push_reason(lua_State *L, int status)
{
	const char *problem = kb_budget_problem(L, lua_tostring(L, -1));
	if (problem || status == LUA_ERRMEM)
		lua_pushstring(L, problem ? problem : "out of memory");
	kb_budget_collect(L);
}

/* Calls the operator's function at 1 with the arguments behind it: true and its results, or false and what went wrong.
 */
static int host_guarded(lua_State *L)
{
	kb_budget_begin(L);
	int status = kb_call(L, lua_gettop(L) - 1, RESULTS_MAX);
	kb_budget_end(L);
	if (status)
		push_reason(L, status);
	lua_pushboolean(L, status == 0);
	lua_insert(L, status ? -2 : 1);
	return status ? 2 : 1 + RESULTS_MAX;
}

/* (name, function, problem): logs that a function of the operator's is of no use for the current message. */
static int host_failed(lua_State *L)
{
	struct kb_policy *policy = kb_state_of(L);
	int i = luaL_checkoption(L, 1, NULL, function_names);
	lua_Debug function;
	lua_pushvalue(L, 2);
	lua_getinfo(L, ">S", &function);
	kb_log_limited(&policy->failures[i], KB_LOG_ERROR, "lua_policy %s: %s (line %d): %s; using the default",
		policy->file, function_names[i], function.linedefined, lua_tostring(L, 3));
	return 0;
}

static int host_log(lua_State *L)
{
	static const char *const levels[] = {"error", "warning", "notice", "info", "debug", NULL};
	int level = luaL_checkoption(L, 1, NULL, levels);
	size_t n;
	const char *text = luaL_checklstring(L, 2, &n);
	kb_log((enum kb_log_level)level, "%.*s", n > INT32_MAX ? INT32_MAX : (int)n, text);
	return 0;
}

static int read_failed(lua_State *L, const char *path)
{
	lua_pushnil(L);
	lua_pushfstring(L, "cannot read %s: %s", path, strerror(errno));
	return 2;
}

/* The contents of a file of Lua; nil and a message. Its size is known before, so that no error can leave it open. */
static int host_read(lua_State *L)
{
	struct stat about;
	const char *path = luaL_checkstring(L, 1);
	if (stat(path, &about) < 0)
		return read_failed(L, path);
	errno = S_ISDIR(about.st_mode) ? EISDIR : EFBIG;
	if (S_ISDIR(about.st_mode) || about.st_size > FILE_MAX)
		return read_failed(L, path);
	char *text = lua_newuserdata(L, (size_t)about.st_size + 1);
	FILE *file = fopen(path, "rb");
	if (!file)
		return read_failed(L, path);
	size_t n = fread(text, 1, (size_t)about.st_size, file);
	fclose(file);
	lua_pushlstring(L, text, n);
	return 1;
}

static int host_exists(lua_State *L)
{
	lua_pushboolean(L, access(luaL_checkstring(L, 1), F_OK) == 0);
	return 1;
}

static const luaL_Reg host_functions[] = {{"route_index", host_route_index}, {"payload", host_payload},
	{"text", host_text}, {"message", host_message}, {"guarded", host_guarded}, {"failed", host_failed},
	{"log", host_log}, {"read", host_read}, {"exists", host_exists}, {"cjson", kb_codec_open}, {NULL, NULL}};

static void set_integer(lua_State *L, const char *name, int value)
{
	lua_pushinteger(L, value);
	lua_setfield(L, -2, name);
}

static void push_sources(lua_State *L)
{
	lua_newtable(L);
	for (const struct kb_embedded *e = kb_embedded; e->name; e++) {
		lua_pushlstring(L, e->text, e->n);
		lua_setfield(L, -2, e->name);
	}
}

void kb_host_push(lua_State *L, const struct kb_policy_config *config)
{
	lua_newtable(L);
	for (const luaL_Reg *f = host_functions; f->name; f++) {
		lua_pushcfunction(L, f->func);
		lua_setfield(L, -2, f->name);
	}
	kb_state_set_text(L, "bus", config->bus);
	kb_state_set_text(L, "file", config->file);
	kb_state_set_text(L, "event_key", config->event_key);
	kb_state_set_text(L, "event_subkey", config->event_subkey);
	set_integer(L, "NO_ROUTE", KB_POLICY_NO_ROUTE);
	set_integer(L, "UNREADABLE", KB_POLICY_UNREADABLE);
	set_integer(L, "UNWANTED", KB_POLICY_UNWANTED);
	push_sources(L);
	lua_setfield(L, -2, "sources");
}
