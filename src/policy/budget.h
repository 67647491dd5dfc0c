/*
 * What the operator's code may take: instructions, time, memory, stack. The limits hold between kb_budget_begin() and
 * kb_budget_end() only; in between the JIT is off, since compiled code never looks at hooks.
 *
 * Once a limit is exceeded, every further instruction raises an error: a pcall() around the one that went too far gains
 * nothing.
 */
#ifndef KB_POLICY_BUDGET_H
#define KB_POLICY_BUDGET_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct kb_budget {
	uint32_t instructions_max;
	size_t memory_max;    /* bytes held, while the operator's code runs */
	uint32_t seconds_max; /* for one call, whatever it does */

	/* private to budget.c */
	size_t held;         /* bytes that the state holds now */
	size_t allocated;    /* bytes that the running call has asked for, freed or not */
	size_t collected_at; /* bytes held after the last full collection */
	uint32_t instructions;
	struct timespec deadline;
	intptr_t stack_begin; /* where the process's own stack was when the call began */
	bool running, collecting;
	const char *exceeded; /* which limit the running call has gone over, or NULL */
	char problem[192];    /* the same with its place; "" until that is known */
};

/* An allocator for lua_newstate(); its user data must begin with a struct kb_budget. */
void *kb_budget_allocate(void *budget, void *p, size_t old_size, size_t new_size);

/* The user data of the state's allocator. */
struct kb_budget *kb_budget_of(lua_State *L);

void kb_budget_begin(lua_State *L);

/* What to say of the call that a limit has ended, instead of its error, which passed through the operator's code. NULL
 * when no limit has, or the error says it already. */
const char *kb_budget_problem(lua_State *L, const char *error);

/* Lifts the limits; call it whatever became of the call. */
void kb_budget_end(lua_State *L);

/* A full collection, unless the last one found next to nothing to free; after an allocation has failed. */
void kb_budget_collect(lua_State *L);

#endif
