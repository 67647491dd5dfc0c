/* Functions of kamailio.cfg: their parameters and results. */
#ifndef KB_KAMAILIO_GLUE_SCRIPT_H
#define KB_KAMAILIO_GLUE_SCRIPT_H

#include <core/mod_fix.h>
#include <core/pvar.h>
#include <core/sr_module.h>

#include "core/buf.h"
#include "core/json.h"
#include "kamailio/glue/str.h"

/* Casts a function of any arity for cmd_export_t, which has one type for all. */
#define KB_FUNCTION(function) ((cmd_function)(void (*)(void))(function))

/* Reads the value of a parameter that kb_fixup_text() has fixed up. False and a log line when it has no value, or when
 * a string with variables is longer than the core's buffer for it (pv_buffer_size). */
bool kb_script_get(
	struct sip_msg *msg, const char *function, const char *name, char *parameter, struct kb_slice *value);

/* A buffer for a result. It stays valid for the next seven calls, because transformations may be chained and several
 * may occur in one string. */
struct kb_buf *kb_script_result(void);

/* Fills the value of a pseudo-variable with `text`, which must outlive it. Returns 0. */
int kb_script_set_text(pv_value_t *value, struct kb_slice text);

/* Fills the value with null for JSON null or nothing. An integer is a number and a text at once. The text lies in a
 * kb_script_result(). */
int kb_script_set_json(struct sip_msg *msg, pv_value_t *value, struct kb_json_value json);

/* Assigns to a pseudo-variable: 1, or -1, with a log line when it is not writable. */
int kb_script_assign(struct sip_msg *msg, pv_spec_t *target, pv_value_t *value);

#endif
