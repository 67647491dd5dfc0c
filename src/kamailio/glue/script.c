#include "kamailio/glue/script.h"

#include <core/dprint.h>
#include <core/pvapi.h>

#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "core/log.h"
#include "core/number.h"

enum { BUFFERS = 8, KEPT_BYTES = 65536 };

/* Buffers used in turn. */
struct ring {
	struct kb_buf buffers[BUFFERS];
	unsigned turn;
};

static struct kb_buf *next_of(struct ring *r)
{
	struct kb_buf *buffer = &r->buffers[r->turn++ % BUFFERS];
	if (buffer->capacity > KEPT_BYTES) /* one long text would cost each process eight times its length for good */
		kb_buf_free(buffer);
	kb_buf_clear(buffer);
	return buffer;
}

struct kb_buf *kb_script_result(void)
{
	static struct ring results;
	return next_of(&results);
}

/* For the text of one parameter, until the function has read all of its parameters, six at most. Evaluating a variable
 * for a later parameter does not write here; it may write to the buffers of results and of the core's transformations.
 */
static struct kb_buf *parameter_buffer(void)
{
	static struct ring parameters;
	return next_of(&parameters);
}

static bool copied(const str *from, struct kb_slice *text)
{
	struct kb_buf *copy = parameter_buffer();
	kb_buf_append_slice(copy, kb_str_to_slice(from));
	*text = copy->n ? kb_buf_slice(copy) : kb_slice("", 0);
	return !copy->failed;
}

static struct kb_slice number_text(int number)
{
	struct kb_buf *text = parameter_buffer();
	kb_buf_printf(text, "%d", number);
	return kb_buf_slice(text);
}

/* True when the text is in memory that evaluating another variable does not change: the body of the message, and the
 * value of a $var. Other texts may lie in a buffer that many variables share, as those of numbers do, or be freed when
 * the variable is read again. */
static bool stays(const pv_spec_t *variable, const pv_value_t *value)
{
	return !variable->trans && !(value->flags & PV_VAL_INT) &&
		   (variable->type == PVT_MSG_BODY || variable->type == PVT_SCRIPTVAR);
}

/* A single pseudo-variable, read without the core's buffer, which limits the length (pv_buffer_size). Otherwise the
 * result is the same as in a longer string: a variable that cannot be evaluated is empty, null is a word, and the text
 * counts more than the number beside it, which may be too large for an int or read from "007". */
static bool variable_text(struct sip_msg *msg, pv_spec_t *variable, struct kb_slice *text)
{
	pv_value_t value;
	if (pv_get_spec_value(msg, variable, &value) != 0)
		*text = KB_SLICE_LITERAL("");
	else if (value.flags & PV_VAL_NULL)
		*text = KB_SLICE_LITERAL("<null>");
	else if (!(value.flags & PV_VAL_STR))
		*text = number_text(value.ri);
	else if (stays(variable, &value))
		*text = kb_str_to_slice(&value.rs);
	else
		return copied(&value.rs, text);
	return true;
}

/* A string with pseudo-variables in it. The core would log three lines each time it is too long, so the core's log is
 * off and we log one. */
static bool string_text(struct sip_msg *msg, pv_elem_t *parts, struct kb_slice *text, bool *too_long)
{
	struct kb_buf *buffer = parameter_buffer();
	int size = pv_get_buffer_size();
	char *to = kb_buf_reserve(buffer, (size_t)size);
	int failed = to ? pv_printf_mode(msg, parts, 0, to, &size) : -1;
	*too_long = failed == -2;
	*text = kb_slice(to, failed ? 0 : (size_t)size);
	return !failed;
}

static bool other_text(struct sip_msg *msg, fparam_t *fixed, struct kb_slice *text)
{
	str s = STR_NULL;
	bool got = fixup_get_svalue(msg, (gparam_t *)fixed, &s) == 0;
	*text = kb_str_to_slice(&s);
	return got;
}

static void log_no_text(const char *function, const char *name, bool too_long)
{
	static struct kb_log_limit no_value, longer;
	if (too_long)
		kb_log_limited(&longer, KB_LOG_ERROR,
			"%s: parameter %s is too long: strings with variables are limited to %d bytes (pv_buffer_size)", function,
			name, pv_get_buffer_size() - 1);
	else
		kb_log_limited(&no_value, KB_LOG_ERROR, "%s: parameter %s has no value", function, name);
}

bool kb_script_get(struct sip_msg *msg, const char *function, const char *name, char *parameter, struct kb_slice *value)
{
	fparam_t *fixed = (fparam_t *)parameter;
	bool got, too_long = false;
	switch (fixed->type) {
	case FPARAM_PVS: got = variable_text(msg, fixed->v.pvs, value); break;
	case FPARAM_PVE: got = string_text(msg, fixed->v.pve, value, &too_long); break;
	default: got = other_text(msg, fixed, value);
	}
	if (!got)
		log_no_text(function, name, too_long);
	return got;
}

int kb_script_set_text(pv_value_t *value, struct kb_slice text)
{
	memset(value, 0, sizeof *value);
	value->rs = kb_str_from_slice(text);
	value->flags = PV_VAL_STR;
	return 0;
}

/* An integer that fits into an int is also one to Kamailio. */
static void set_integer(pv_value_t *value, struct kb_slice text)
{
	int64_t number;
	if (!kb_number_read_signed(text, INT_MAX, &number))
		return;
	value->ri = (int)number;
	value->flags |= PV_VAL_INT;
}

int kb_script_set_json(struct sip_msg *msg, pv_value_t *value, struct kb_json_value json)
{
	if (json.type == KB_JSON_NONE || json.type == KB_JSON_NULL)
		return pv_get_null(msg, NULL, value);
	struct kb_buf *text = kb_script_result();
	kb_json_text(json, text);
	if (text->failed)
		return pv_get_null(msg, NULL, value);
	kb_script_set_text(value, kb_buf_slice(text));
	if (!value->rs.s)
		value->rs.s = ""; /* an empty string has no memory yet and must not look like null */
	if (json.type == KB_JSON_NUMBER)
		set_integer(value, kb_buf_slice(text));
	return 0;
}

int kb_script_assign(struct sip_msg *msg, pv_spec_t *target, pv_value_t *value)
{
	if (!pv_is_w(target)) {
		LM_ERR("the target is a read-only pseudo-variable\n");
		return -1;
	}
	return pv_set_spec_value(msg, target, 0, value) < 0 ? -1 : 1;
}
