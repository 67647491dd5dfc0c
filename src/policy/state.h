/* What the files of the host share: its state, and the table of C functions that its Lua side gets. */
#ifndef KB_POLICY_STATE_H
#define KB_POLICY_STATE_H

#include "core/log.h"
#include "policy/budget.h"
#include "policy/policy.h"

enum { KB_POLICY_FUNCTIONS = 2 }; /* that a policy may have */

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

	struct kb_log_limit failures[KB_POLICY_FUNCTIONS], own_failures;
};

static inline struct kb_policy *kb_state_of(lua_State *L)
{
	return (struct kb_policy *)kb_budget_of(L);
}

static inline void kb_state_push_slice(lua_State *L, struct kb_slice s)
{
	lua_pushlstring(L, s.n ? s.p : "", s.n);
}

/* Sets a field of the table on top of the stack, unless the text is NULL or "". */
static inline void kb_state_set_text(lua_State *L, const char *name, const char *text)
{
	if (!text || !*text)
		return;
	lua_pushstring(L, text);
	lua_setfield(L, -2, name);
}

#endif
