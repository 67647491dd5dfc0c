#include "policy/budget.h"

#include <luajit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "policy/origin.h"

enum {
	STEP = 100,     /* instructions between two looks: some of them, like table.insert, can take milliseconds */
	HOST_SHARE = 4, /* the host itself may hold this many times memory_max: a large payload beside a full policy */
	ALLOCATED_SHARE = 16,   /* of memory_max, for one call: filling and freeing memory takes time too */
	STACK_MAX = 1024 * 1024 /* of the process's own stack, which usually ends after 8 MiB, with the process */
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
	budget->exceeded = "exceeds the memory limit";
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

/* Functions of Lua that call each other through functions of C, or by resuming coroutines, nest in C, too. */
static bool is_deep(const struct kb_budget *budget)
{
	return budget->stack_begin - (intptr_t)__builtin_frame_address(0) > STACK_MAX;
}

static const char *limit_exceeded(const struct kb_budget *budget)
{
	if (budget->instructions >= budget->instructions_max)
		return "exceeds the instruction limit, probably in an endless loop";
	if (is_deep(budget))
		return "exceeds the call depth limit, probably in an endless recursion";
	return is_past(&budget->deadline) ? "exceeds the time limit" : NULL;
}

/* The innermost line of the operator's. */
static void find_problem(lua_State *L, struct kb_budget *budget)
{
	lua_Debug at;
	for (int i = 0; lua_getstack(L, i, &at); i++) {
		if (!lua_getinfo(L, "Sl", &at) || at.currentline < 0 || kb_origin_is_host(&at))
			continue;
		snprintf(budget->problem, sizeof budget->problem, "%s:%d: %s", at.short_src, at.currentline, budget->exceeded);
		return;
	}
	snprintf(budget->problem, sizeof budget->problem, "%s", budget->exceeded);
}

static void on_count(lua_State *L, lua_Debug *unused)
{
	struct kb_budget *budget = kb_budget_of(L);
	(void)unused;
	budget->instructions += STEP;
	if (!budget->exceeded)
		budget->exceeded = limit_exceeded(budget);
	if (!budget->exceeded)
		return;
	lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
	if (!*budget->problem)
		find_problem(L, budget);
	lua_pushstring(L, budget->problem);
	lua_error(L);
}

void kb_budget_begin(lua_State *L)
{
	struct kb_budget *budget = kb_budget_of(L);
	budget->instructions = 0;
	budget->allocated = 0;
	budget->stack_begin = (intptr_t)__builtin_frame_address(0);
	budget->exceeded = NULL;
	*budget->problem = 0;
	budget->running = true;
	clock_gettime(CLOCK_MONOTONIC, &budget->deadline);
	budget->deadline.tv_sec += budget->seconds_max;
	luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
	lua_sethook(L, on_count, LUA_MASKCOUNT, STEP);
}

const char *kb_budget_problem(lua_State *L, const char *error)
{
	const struct kb_budget *budget = kb_budget_of(L);
	const char *problem = *budget->problem ? budget->problem : budget->exceeded;
	return problem && !(error && strncmp(error, problem, strlen(problem)) == 0) ? problem : NULL;
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
