#include "policy/budget.h"

#include <luajit.h>
#include <stdlib.h>

enum {
	STEP = 100,          /* instructions between two looks: some of them, like table.insert, can take milliseconds */
	SECONDS_MAX = 1,     /* for one call, whatever it does */
	HOST_SHARE = 4,      /* the host itself may hold this many times memory_max: a large payload beside a full policy */
	ALLOCATED_SHARE = 16 /* of memory_max, for one call: filling and freeing memory takes time too */
};

static bool granted(struct kb_budget *budget, size_t more)
{
	if (budget->collecting)
		return true;
	if (!budget->running)
		return budget->held + more <= budget->memory_max * HOST_SHARE;
	budget->allocated += more;
	if (budget->held + more <= budget->memory_max && budget->allocated <= budget->memory_max * ALLOCATED_SHARE)
		return true;
	budget->exceeded = "takes too much memory";
	return false;
}

void *kb_budget_allocate(void *user_data, void *p, size_t old_size, size_t new_size)
{
	struct kb_budget *budget = user_data;
	if (new_size == 0) {
		budget->held -= old_size;
		free(p);
		return NULL;
	}
	if (new_size > old_size && !granted(budget, new_size - old_size))
		return NULL;
	void *q = realloc(p, new_size);
	if (q)
		budget->held += new_size - old_size;
	return q;
}

struct kb_budget *kb_budget_of(lua_State *L)
{
	void *user_data;
	lua_getallocf(L, &user_data);
	return user_data;
}

static bool is_past(const struct timespec *deadline)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > deadline->tv_sec || (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec);
}

static void on_count(lua_State *L, lua_Debug *where)
{
	struct kb_budget *budget = kb_budget_of(L);
	budget->instructions += STEP;
	if (!budget->exceeded && budget->instructions >= budget->instructions_max)
		budget->exceeded = "takes too many instructions, maybe an endless loop";
	if (!budget->exceeded && is_past(&budget->deadline))
		budget->exceeded = "takes too long";
	if (!budget->exceeded)
		return;
	lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
	lua_getinfo(L, "Sl", where);
	lua_pushfstring(L, "%s:%d: %s", where->short_src, where->currentline, budget->exceeded);
	lua_error(L);
}

void kb_budget_begin(lua_State *L)
{
	struct kb_budget *budget = kb_budget_of(L);
	budget->instructions = 0;
	budget->allocated = 0;
	budget->exceeded = NULL;
	budget->running = true;
	clock_gettime(CLOCK_MONOTONIC, &budget->deadline);
	budget->deadline.tv_sec += SECONDS_MAX;
	luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
	lua_sethook(L, on_count, LUA_MASKCOUNT, STEP);
}

void kb_budget_end(lua_State *L)
{
	lua_sethook(L, NULL, 0, 0);
	luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
	kb_budget_of(L)->running = false;
}

void kb_budget_collect(lua_State *L)
{
	struct kb_budget *budget = kb_budget_of(L);
	if (budget->held < budget->collected_at + budget->memory_max / 8)
		return;
	budget->collecting = true; /* it needs a little to give back much */
	lua_gc(L, LUA_GCCOLLECT, 0);
	budget->collecting = false;
	budget->collected_at = budget->held;
}
