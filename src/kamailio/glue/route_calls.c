#include "kamailio/glue/route_calls.h"

#include <core/route.h>
#include <core/rvalue.h>
#include <core/sr_module.h>
#include <core/switch.h>

#include <string.h>

/* The recursion is as deep as the routes are nested, as in the core's own fix-ups, and visits each action once. */

static bool in_actions(const struct action *a, const char *const names[]);

static bool is_call(const struct action *a, const char *const names[])
{
	const ksr_cmd_export_t *function = is_mod_func(a) ? a->val[0].u.data : NULL;
	for (size_t i = 0; function && names[i]; i++)
		if (strcmp(function->name, names[i]) == 0)
			return true;
	return false;
}

/* -- expressions -- */

static bool in_expression(const struct rval_expr *e, const char *const names[]);

/* Conditions in the older form of the core. */
static bool in_condition(const struct expr *e, const char *const names[])
{
	if (!e)
		return false;
	if (e->type == EXP_T)
		return in_condition(e->l.expr, names) || (e->op != NOT_OP && in_condition(e->r.expr, names));
	if (e->l_type == ACTION_O)
		return in_actions(e->r.param, names);
	return (e->l_type == RVEXP_O && in_expression(e->l.param, names)) ||
		   (e->r_type == RVE_ST && in_expression(e->r.param, names));
}

static bool in_leaf(const struct rvalue *v, const char *const names[])
{
	switch (v->type) {
	case RV_ACTION_ST: return in_actions(v->v.action, names);
	case RV_BEXPR: return in_condition(v->v.bexpr, names);
	default: return false;
	}
}

static bool in_expression(const struct rval_expr *e, const char *const names[])
{
	if (!e)
		return false;
	switch (e->op) {
	case RVE_NONE_OP: return false;
	case RVE_RVAL_OP: return in_leaf(&e->left.rval, names);
	case RVE_UMINUS_OP:
	case RVE_BOOL_OP:
	case RVE_LNOT_OP:
	case RVE_BNOT_OP:
	case RVE_STRLEN_OP:
	case RVE_STREMPTY_OP:
	case RVE_DEFINED_OP:
	case RVE_NOTDEFINED_OP:
	case RVE_INT_OP:
	case RVE_STR_OP: return in_expression(e->left.rve, names);
	default: return in_expression(e->left.rve, names) || in_expression(e->right.rve, names);
	}
}

/* -- switches: a case continues into the next one, so the actions of all cases form one chain, and each jump leads to
 * some place in it. The longest way from a jump to the end contains all the others. -- */

static size_t length(const struct action *a)
{
	size_t n = 0;
	for (; a; a = a->next)
		n++;
	return n;
}

static const struct action *longer(const struct action *a, const struct action *b)
{
	return length(a) >= length(b) ? a : b;
}

static const struct action *longest(struct action *const jumps[], int n, const struct action *otherwise)
{
	const struct action *found = otherwise;
	for (int i = 0; i < n; i++)
		found = longer(found, jumps[i]);
	return found;
}

static const struct action *all_cases(const struct switch_cond_table *table)
{
	return longest(table->jump, table->n, table->def);
}

static const struct action *all_jumps(const struct switch_jmp_table *table)
{
	return longest(table->tbl, table->last - table->first + 1, all_cases(&table->rest));
}

static const struct action *all_matches(const struct match_cond_table *table)
{
	return longest(table->jump, table->n, table->def);
}

/* -- actions -- */

static bool in_value(const action_u_t *value, const char *const names[])
{
	if (!value->u.data)
		return false;
	switch (value->type) {
	case ACTION_ST:
	case ACTIONS_ST:
	case BLOCK_ST: return in_actions(value->u.data, names);
	case RVE_ST: return in_expression(value->u.data, names);
	case EXPR_ST: return in_condition(value->u.data, names);
	case CONDTABLE_ST: return in_actions(all_cases(value->u.data), names);
	case JUMPTABLE_ST: return in_actions(all_jumps(value->u.data), names);
	case MATCH_CONDTABLE_ST: return in_actions(all_matches(value->u.data), names);
	default: return false;
	}
}

static bool in_actions(const struct action *a, const char *const names[])
{
	for (; a; a = a->next) {
		if (is_call(a, names))
			return true;
		for (size_t i = 0; i < MAX_ACTIONS; i++)
			if (in_value(&a->val[i], names))
				return true;
	}
	return false;
}

static bool in_routes(const struct route_list *list, const char *const names[])
{
	for (int i = 0; i < list->idx; i++)
		if (in_actions(list->rlist[i], names))
			return true;
	return false;
}

bool kb_route_calls_any(const char *const names[])
{
	return in_routes(&main_rt, names) || in_routes(&onreply_rt, names) || in_routes(&failure_rt, names) ||
		   in_routes(&branch_rt, names) || in_routes(&onsend_rt, names) || in_routes(&event_rt, names);
}
