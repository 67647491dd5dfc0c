#include "policy/policy.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/log.h"
#include "policy/call.h"
#include "policy/codec.h"
#include "policy/embedded.h"
#include "policy/budget.h"

enum {
	DEFAULT_INSTRUCTIONS = 10 * 1000 * 1000,
	DEFAULT_MEMORY = 64 * 1024 * 1024,
	FILE_MAX = 4 * 1024 * 1024,
	FUNCTIONS = 2,  /* that a policy may have */
	RESULTS_MAX = 2 /* of each */
};

/* The stack of the state between two calls, and the same numbers in its registry. */
enum { SLOT_ROUTE = 1, SLOT_ADD_SUBSCRIPTION, SLOT_COLLECT, SLOTS = SLOT_COLLECT };

static const char *const function_names[FUNCTIONS + 1] = {"event_key", "route_names"};

struct kb_policy {
	struct kb_budget budget; /* first: the allocator's user data */
	lua_State *L;
	bool kazoo;
	char *file; /* NULL: the default alone */
	int (*route_index)(const char *name, void *context);
	void *context;

	/* the message that is being routed */
	const struct kb_message *message;
	struct kb_slice payload;

	struct kb_log_limit failures[FUNCTIONS], own_failures;
};

static struct kb_policy *policy_of(lua_State *L)
{
	return (struct kb_policy *)kb_budget_of(L);
}

static void push_slice(lua_State *L, struct kb_slice s)
{
	lua_pushlstring(L, s.n ? s.p : "", s.n);
}

/* -- what the Lua side calls; main.lua and sandbox.lua -- */

static int host_route_index(lua_State *L)
{
	struct kb_policy *policy = policy_of(L);
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
	if (kb_codec_decode(L, policy_of(L)->payload, &at) || !lua_istable(L, -1))
		lua_pushnil(L);
	return 1;
}

static int host_text(lua_State *L)
{
	push_slice(L, policy_of(L)->payload);
	return 1;
}

static int host_message(lua_State *L)
{
	const struct kb_message *m = policy_of(L)->message;
	push_slice(L, m->exchange);
	push_slice(L, m->key);
	lua_pushboolean(L, (m->origin.flags & KB_REDELIVERED) != 0);
	return 3;
}

/* Calls the operator's function at 1 with the arguments behind it: true and its results, or false and what went wrong.
 */
static int host_guarded(lua_State *L)
{
	kb_budget_begin(L);
	int status = kb_call(L, lua_gettop(L) - 1, RESULTS_MAX);
	kb_budget_end(L);
	if (status == LUA_ERRMEM)
		lua_pushstring(L, kb_budget_of(L)->exceeded ? kb_budget_of(L)->exceeded : "no memory");
	if (status)
		kb_budget_collect(L);
	lua_pushboolean(L, status == 0);
	lua_insert(L, status ? -2 : 1);
	return status ? 2 : 1 + RESULTS_MAX;
}

/* (name, function, problem): logs that a function of the operator's is of no use for the current message. */
static int host_failed(lua_State *L)
{
	struct kb_policy *policy = policy_of(L);
	int i = luaL_checkoption(L, 1, NULL, function_names);
	lua_Debug function;
	lua_pushvalue(L, 2);
	lua_getinfo(L, ">S", &function);
	kb_log_limited(&policy->failures[i], KB_LOG_ERROR, "lua_policy %s: %s (line %d): %s; the default serves",
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

/* -- opening -- */

static void set_text(lua_State *L, const char *name, const char *text)
{
	if (!text || !*text)
		return;
	lua_pushstring(L, text);
	lua_setfield(L, -2, name);
}

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

static void push_host(lua_State *L, const struct kb_policy_config *config)
{
	lua_newtable(L);
	for (const luaL_Reg *f = host_functions; f->name; f++) {
		lua_pushcfunction(L, f->func);
		lua_setfield(L, -2, f->name);
	}
	set_text(L, "bus", config->bus);
	set_text(L, "file", config->file);
	set_text(L, "event_key", config->event_key);
	set_text(L, "event_subkey", config->event_subkey);
	set_integer(L, "NO_ROUTE", KB_POLICY_NO_ROUTE);
	set_integer(L, "UNREADABLE", KB_POLICY_UNREADABLE);
	push_sources(L);
	lua_setfield(L, -2, "sources");
}

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

/* Puts the two functions that main.lua returned, each inside its C function, where start() finds them. What is called
 * when memory is out must exist before. */
static void keep_functions(lua_State *L)
{
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
	push_host(L, config);
	lua_call(L, 1, 2);
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
		const char *text = L ? lua_tostring(L, -1) : "no memory for a Lua state";
		if (config->file)
			kb_buf_printf(error, "%s: ", config->file);
		kb_buf_printf(error, "%s", text ? text : "an error that is no text");
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
		kb_buf_printf(error, "this process resolves lua_* to another Lua than LuaJIT: the module must be loaded with "
							 "RTLD_DEEPBIND, and liblua not be preloaded");
	else if (!(policy = allocate(config)))
		kb_buf_printf(error, "no memory for the Lua host");
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
	kb_log_limited(&policy->own_failures, KB_LOG_ERROR, "lua: %s", lua_tostring(L, -1));
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
	set_text(L, "event_key", s->event_key);
	set_text(L, "event_subkey", s->event_subkey);
	set_text(L, "exchange", s->exchange);
	set_text(L, "queue", s->queue);
	set_text(L, "subject", s->subject);
	set_text(L, "group", s->group);
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

/* The payload decoded, or nil: always for NATS, whose payload is looked at only when a policy asks. */
static void push_payload(lua_State *L, const struct kb_policy *policy)
{
	size_t at;
	if (!policy->kazoo || kb_codec_decode(L, policy->payload, &at)) {
		lua_pushnil(L);
	} else if (!lua_istable(L, -1) || !is_object(policy->payload)) {
		lua_pop(L, 1);
		lua_pushnil(L);
	}
}

static int route(lua_State *L)
{
	const struct kb_policy *policy = policy_of(L);
	const struct kb_message *m = policy->message;
	lua_pushvalue(L, lua_upvalueindex(1));
	if (m->origin.subscription == KB_ORIGIN_EVENT) {
		lua_pushnil(L);
		lua_pushnil(L);
		push_slice(L, m->exchange);
		push_slice(L, m->key);
		lua_call(L, 4, 1);
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
