#include "kamailio/glue/fixup.h"

#include <core/dprint.h>
#include <core/mem/mem.h>
#include <core/mod_fix.h>
#include <core/pvapi.h>
#include <core/sr_module.h>

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The core passes a pointer to the `u` of one of these. */
static const action_u_t *action_of(void **parameter)
{
	return (const action_u_t *)(const void *)((char *)parameter - offsetof(action_u_t, u));
}

static bool is_value(void **parameter)
{
	return action_of(parameter)->type == STRING_RVE_ST;
}

static fparam_t *new_parameter(int type, void **parameter)
{
	fparam_t *fixed = pkg_malloc(sizeof *fixed);
	if (!fixed) {
		PKG_MEM_ERROR;
		return NULL;
	}
	memset(fixed, 0, sizeof *fixed);
	fixed->type = type;
	fixed->orig = *parameter;
	fixed->fixed = &fixed->v;
	return fixed;
}

/* The core has evaluated the expression already. Its own fix-ups would cut the value at the first NUL. */
static int fixup_value(void **parameter)
{
	fparam_t *fixed = new_parameter(FPARAM_STR, parameter);
	if (!fixed)
		return -1;
	fixed->v.str = action_of(parameter)->u.str;
	*parameter = fixed;
	return 0;
}

/* 0 when the text is a single pseudo-variable and nothing else, otherwise 1. */
static int fixup_variable(void **parameter)
{
	str text = {*parameter, (int)strlen(*parameter)};
	pv_spec_t *variable = text.s[0] == '$' ? pkg_malloc(sizeof *variable) : NULL;
	if (!variable)
		return 1;
	const char *end = pv_parse_spec2(&text, variable, 1);
	fparam_t *fixed = end == text.s + text.len ? new_parameter(FPARAM_PVS, parameter) : NULL;
	if (!fixed) {
		if (end)
			pv_spec_free(variable);
		else
			pkg_free(variable);
		return 1;
	}
	fixed->v.pvs = variable;
	*parameter = fixed;
	return 0;
}

int kb_fixup_text(void **parameter, int number)
{
	(void)number;
	if (is_value(parameter))
		return fixup_value(parameter);
	return fixup_variable(parameter) == 0 ? 0 : fixup_spve_null(parameter, 1);
}

int kb_fixup_text_free(void **parameter, int number)
{
	(void)number;
	return fixup_free_spve_null(parameter, 1);
}

int kb_fixup_target(void **parameter, int number)
{
	if (is_value(parameter) || fixup_pvar_null(parameter, 1) != 0) {
		LM_ERR("parameter %d must be the name of a pseudo-variable, in quotes\n", number);
		return -1;
	}
	if (!pv_is_w((pv_spec_t *)*parameter)) {
		LM_ERR("parameter %d must be a writable pseudo-variable\n", number);
		return -1;
	}
	return 0;
}

int kb_fixup_target_free(void **parameter, int number)
{
	(void)number;
	return fixup_free_pvar_null(parameter, 1);
}

int kb_fixup_text_target2(void **parameter, int number)
{
	return number == 2 ? kb_fixup_target(parameter, number) : kb_fixup_text(parameter, number);
}

int kb_fixup_text_target2_free(void **parameter, int number)
{
	return number == 2 ? kb_fixup_target_free(parameter, number) : kb_fixup_text_free(parameter, number);
}

int kb_fixup_text_target3(void **parameter, int number)
{
	return number == 3 ? kb_fixup_target(parameter, number) : kb_fixup_text(parameter, number);
}

int kb_fixup_text_target3_free(void **parameter, int number)
{
	return number == 3 ? kb_fixup_target_free(parameter, number) : kb_fixup_text_free(parameter, number);
}
