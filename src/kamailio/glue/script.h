/* Functions of kamailio.cfg: their parameters and results. */
#ifndef KB_KAMAILIO_GLUE_SCRIPT_H
#define KB_KAMAILIO_GLUE_SCRIPT_H

#include <core/mod_fix.h>
#include <core/pvar.h>
#include <core/sr_module.h>

#include "core/buf.h"
#include "core/json.h"
#include "kamailio/glue/str.h"

/* A function of any arity for cmd_export_t, which has one type for all. */
#define KB_FUNCTION(function) ((cmd_function)(void (*)(void))(function))

/* The value of a function's parameter fixed up as a string with pseudo-variables; false and a log line when it has
 * none, or one that is longer than the core's buffer for such strings. */
bool kb_script_get(
	struct sip_msg *msg, const char *function, const char *name, char *parameter, struct kb_slice *value);

/* A buffer for a result that Kamailio reads before this was called another seven times: transformations may be chained
 * and several may stand in one string. */
struct kb_buf *kb_script_result(void);

/* Fills a pseudo-variable's value from `text`, which must outlive it. */
int kb_script_set_text(pv_value_t *value, struct kb_slice text);

/* Null for JSON null or nothing; integers are numbers and text at once; text lies in a kb_script_result(). */
int kb_script_set_json(struct sip_msg *msg, pv_value_t *value, struct kb_json_value json);

/* Assigns to a writable pseudo-variable; -1 and a log line when it cannot be. */
int kb_script_assign(struct sip_msg *msg, pv_spec_t *target, pv_value_t *value);

#endif
