#include "policy/policy.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include "core/json.h"
#include "policy/call.h"
#include "policy/codec.h"
#include "policy/embedded.h"
#include "policy/host.h"
#include "policy/state.h"

enum { DEFAULT_INSTRUCTIONS = 10 * 1000 * 1000, DEFAULT_MEMORY = 64 * 1024 * 1024, DEFAULT_SECONDS = 1 };

/* The stack of the state between two calls, and the same numbers in its registry. */
enum { SLOT_ROUTE = 1, SLOT_ADD_SUBSCRIPTION, SLOT_TRIED, SLOT_COLLECT, SLOTS = SLOT_COLLECT };

/* -- opening -- */

/* Neither io, package, debug nor ffi: what is not there cannot be reached by a way around the sandbox. */
static void open_libraries(lua_State *L)
{
	static const luaL_Reg libraries[] = {{"", luaopen_base}, {LUA_TABLIBNAME, luaopen_table},
		{LUA_STRLIBNAME, luaopen_string}, {LUA_MATHLIBNAME, luaopen_math}, {LUA_BITLIBNAME, luaopen_bit},
		{LUA_JITLIBNAME, luaopen_jit}, {LUA_OSLIBNAME, luaopen_os}};
	for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
		lua_pushcfunction(L, libraries[i].func);
		lua_pushstring(L, libraries[i].name);
		lua_call(L, 1, 0);
	}
}

/* All strings share one metatable: a policy must neither get at it nor at string.dump through it. */
static void close_string_metatable(lua_State *L)
{
	lua_getglobal(L, LUA_STRLIBNAME);
	lua_pushnil(L);
	lua_setfield(L, -2, "dump");
	lua_pop(L, 1);
	lua_pushliteral(L, "");
	lua_getmetatable(L, -1);
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 2);
}

static const struct kb_embedded *embedded(const char *name)
{
	const struct kb_embedded *e = kb_embedded;
	while (strcmp(e->name, name) != 0)
		e++;
	return e;
}

static int route(lua_State *L);
static int add_subscription(lua_State *L);
static int collect(lua_State *L);

/* Puts the functions that main.lua returned, the first two inside their C functions, where start() finds them. What is
 * called when memory is out must exist before. */
static void keep_functions(lua_State *L)
{
	lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_TRIED);
	lua_pushcclosure(L, add_subscription, 1);
	lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_ADD_SUBSCRIPTION);
	lua_pushcclosure(L, route, 1);
	lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_ROUTE);
	lua_pushcfunction(L, collect);
	lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_COLLECT);
}

static int open_state(lua_State *L)
{
	const struct kb_policy_config *config = lua_touserdata(L, 1);
	const struct kb_embedded *main = embedded("kemibus.host.main");
	kb_call_prepare(L);
	open_libraries(L);
	close_string_metatable(L);
	if (luaL_loadbuffer(L, main->text, main->n, "=kemibus host"))
		return lua_error(L);
	kb_host_push(L, config);
	lua_call(L, 1, 3);
	keep_functions(L);
	return 0;
}

/* Whose symbols did the loader give us? Asked with the whole of the library, before its parts could be mixed. */
static bool is_luajit(void)
{
	lua_State *L = luaL_newstate();
	if (!L)
		return false;
	luaL_openlibs(L);
	lua_getglobal(L, "jit");
	bool yes = lua_istable(L, -1);
	lua_close(L);
	return yes;
}

static bool start(struct kb_policy *policy, const struct kb_policy_config *config, struct kb_buf *error)
{
	lua_State *L = policy->L = lua_newstate(kb_budget_allocate, policy);
	int status = L ? lua_cpcall(L, open_state, (void *)config) : LUA_ERRMEM;
	if (status) {
		const char *text = L ? lua_tostring(L, -1) : "out of memory for a Lua state";
		if (config->file)
			kb_buf_printf(error, "%s: ", config->file);
		kb_buf_printf(error, "%s", text ? text : "error value is not a string");
		return false;
	}
	for (int slot = 1; slot <= SLOTS; slot++)
		lua_rawgeti(L, LUA_REGISTRYINDEX, slot);
	return true;
}

static struct kb_policy *allocate(const struct kb_policy_config *config)
{
	struct kb_policy *policy = calloc(1, sizeof *policy);
	if (!policy)
		return NULL;
	policy->budget.instructions_max = config->instructions_max ? config->instructions_max : DEFAULT_INSTRUCTIONS;
	policy->budget.memory_max = config->memory_max ? config->memory_max : DEFAULT_MEMORY;
	policy->budget.seconds_max = config->seconds_max ? config->seconds_max : DEFAULT_SECONDS;
	policy->kazoo = strcmp(config->bus, "kazoo") == 0;
	policy->file = config->file ? strdup(config->file) : NULL;
	policy->route_index = config->route_index;
	policy->context = config->context;
	return policy;
}

struct kb_policy *kb_policy_open(const struct kb_policy_config *config, struct kb_buf *error)
{
	struct kb_policy *policy = NULL;
	if (!is_luajit())
		kb_buf_printf(error, "lua_* symbols of this process belong to another Lua than LuaJIT: load the module with "
							 "RTLD_DEEPBIND and do not preload liblua");
	else if (!(policy = allocate(config)))
		kb_buf_printf(error, "out of memory for the Lua host");
	else if (start(policy, config, error))
		return policy;
	kb_policy_close(policy);
	return NULL;
}

void kb_policy_close(struct kb_policy *policy)
{
	if (!policy)
		return;
	if (policy->L)
		lua_close(policy->L);
	free(policy->file);
	free(policy);
}

/* -- calls, each made of a part outside of Lua, where nothing may raise, and a C function that runs protected -- */

static int collect(lua_State *L)
{
	kb_budget_collect(L);
	return 0;
}

static bool call(struct kb_policy *policy, int n_args, int n_results)
{
	lua_State *L = policy->L;
	int status = kb_call(L, n_args, n_results);
	if (!status)
		return true;
	kb_log_limited(&policy->own_failures, KB_LOG_ERROR, "policy host failed on a payload of %zu bytes: %s",
		policy->payload.n, lua_tostring(L, -1));
	if (status == LUA_ERRMEM) {
		lua_pushvalue(L, SLOT_COLLECT);
		kb_call(L, 0, 0);
	}
	lua_settop(L, SLOTS);
	return false;
}

struct addition {
	uint32_t index;
	const struct kb_policy_subscription *subscription;
};

static int add_subscription(lua_State *L)
{
	const struct addition *addition = lua_touserdata(L, 1);
	const struct kb_policy_subscription *s = addition->subscription;
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushnumber(L, addition->index);
	lua_newtable(L);
	kb_state_set_text(L, "event_key", s->event_key);
	kb_state_set_text(L, "event_subkey", s->event_subkey);
	kb_state_set_text(L, "exchange", s->exchange);
	kb_state_set_text(L, "queue", s->queue);
	kb_state_set_text(L, "subject", s->subject);
	kb_state_set_text(L, "group", s->group);
	lua_call(L, 2, 0);
	return 0;
}

bool kb_policy_add_subscription(
	struct kb_policy *policy, uint32_t index, const struct kb_policy_subscription *subscription)
{
	struct addition addition = {index, subscription};
	lua_pushvalue(policy->L, SLOT_ADD_SUBSCRIPTION);
	lua_pushlightuserdata(policy->L, &addition);
	return call(policy, 1, 0);
}

static bool is_object(struct kb_slice text)
{
	size_t i = 0;
	while (i < text.n && strchr(" \t\r\n", text.p[i]) && text.p[i])
		i++;
	return i < text.n && text.p[i] == '{';
}

enum {
	DECODED_MAX = 1 << 20, /* bytes of a payload that is decoded as a whole; a table takes many times as much */
	MEMBER_MAX = 64 << 10  /* bytes of a member of a longer one */
};

/* __index of the table that stands for a long payload. */
static int long_member(lua_State *L)
{
	size_t at;
	struct kb_slice name = {NULL, 0};
	name.p = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &name.n) : NULL;
	struct kb_json_value value = {KB_JSON_NONE, {NULL, 0}};
	if (name.p)
		value = kb_json_member(kb_state_of(L)->payload, name);
	if (value.type == KB_JSON_NONE || value.raw.n > MEMBER_MAX || kb_codec_decode(L, value.raw, &at))
		lua_pushnil(L);
	return 1;
}

static void push_long_payload(lua_State *L, struct kb_slice payload)
{
	if (kb_json_get(payload, kb_slice(NULL, 0), '\0').type != KB_JSON_OBJECT) {
		lua_pushnil(L);
		return;
	}
	lua_newtable(L);
	lua_createtable(L, 0, 2);
	lua_pushcfunction(L, long_member);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
}

/* The payload decoded, or nil: always for NATS, whose payload is looked at only when a policy asks. */
static void push_payload(lua_State *L, const struct kb_policy *policy)
{
	size_t at;
	if (policy->kazoo && policy->payload.n > DECODED_MAX) {
		push_long_payload(L, policy->payload);
		return;
	}
	if (!policy->kazoo || kb_codec_decode(L, policy->payload, &at)) {
		lua_pushnil(L);
	} else if (!lua_istable(L, -1) || !is_object(policy->payload)) {
		lua_pop(L, 1);
		lua_pushnil(L);
	}
}

static int route(lua_State *L)
{
	const struct kb_policy *policy = kb_state_of(L);
	const struct kb_message *m = policy->message;
	lua_pushvalue(L, lua_upvalueindex(1));
	if (m->origin.subscription == KB_ORIGIN_EVENT) {
		lua_pushnil(L);
		lua_pushnil(L);
		kb_state_push_slice(L, m->exchange);
		if (policy->kazoo)
			kb_state_push_slice(L, m->key);
		lua_call(L, policy->kazoo ? 4 : 3, 1);
	} else {
		push_payload(L, policy);
		lua_pushnumber(L, m->origin.subscription);
		lua_call(L, 2, 1);
	}
	return 1;
}

int kb_policy_route(struct kb_policy *policy, const struct kb_message *m, struct kb_slice payload)
{
	policy->message = m;
	policy->payload = payload;
	lua_pushvalue(policy->L, SLOT_ROUTE);
	if (!call(policy, 0, 1))
		return policy->kazoo ? KB_POLICY_UNREADABLE : KB_POLICY_NO_ROUTE;
	int index = (int)lua_tointeger(policy->L, -1);
	lua_pop(policy->L, 1);
	return index;
}

void kb_policy_tried(struct kb_policy *policy, struct kb_buf *names)
{
	size_t n;
	lua_pushvalue(policy->L, SLOT_TRIED);
	if (!call(policy, 0, 1))
		return;
	const char *text = lua_tolstring(policy->L, -1, &n);
	kb_buf_append(names, text, n);
	lua_pop(policy->L, 1);
}
