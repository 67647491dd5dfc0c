#include "kamailio/kazoo/transformations.h"

#include <core/dprint.h>
#include <core/mem/mem.h>
#include <core/ut.h>

#include "core/routing_key.h"
#include "kamailio/glue/script.h"
#include "kamailio/kazoo/settings.h"

enum { TR_JSON, TR_JSON_COUNT, TR_ENCODE };

static const struct {
	struct kb_slice name;
	int subtype;
	bool has_path;
} known[] = {
	{{"json", 4}, TR_JSON, true}, {{"json.count", 10}, TR_JSON_COUNT, true}, {{"encode", 6}, TR_ENCODE, false}};

static struct kb_slice text_of(struct sip_msg *msg, tr_param_t *path, pv_elem_t **elements)
{
	str value = STR_NULL;
	*elements = path ? path->v.data : NULL;
	if (*elements && pv_printf_s(msg, *elements, &value) < 0)
		return kb_slice(NULL, 0);
	return kb_str_to_slice(&value);
}

/* A number also where it stands beside a text. What is no array counts as 0, which leaves a string empty, as in
 * Debian's module. */
static int set_count(struct sip_msg *msg, pv_value_t *value, struct kb_json_value found)
{
	pv_get_sintval(msg, NULL, value, (int)kb_json_count(found));
	if (found.type == KB_JSON_ARRAY)
		return 0;
	value->rs = (str){"", 0};
	value->flags &= ~PV_VAL_STR;
	return 0;
}

/* An empty path, which is an empty variable, leads nowhere. */
static bool is_missing(struct kb_json_value found, struct kb_slice path)
{
	return found.type == KB_JSON_NONE || found.type == KB_JSON_NULL || path.n == 0;
}

static int apply_json(struct sip_msg *msg, tr_param_t *path, int subtype, pv_value_t *value)
{
	pv_elem_t *elements;
	struct kb_slice text = kb_str_to_slice(&value->rs);
	struct kb_slice at = text_of(msg, path, &elements);
	struct kb_json_value found = kb_json_get(text, at, kz_settings()->json_escape);
	if (subtype == TR_JSON_COUNT)
		return set_count(msg, value, found);
	if (!is_missing(found, at))
		return kb_script_set_json(msg, value, found);
	return kz_settings()->json_missing_is_null ? pv_get_null(msg, NULL, value)
											   : kb_script_set_text(value, kb_slice("", 0));
}

/* A transformation that fails is empty in a string and null elsewhere, as Debian's module has it. */
static int of_null(int subtype)
{
	return subtype == TR_JSON && kz_settings()->json_missing_is_null ? 0 : -1;
}

static int apply(struct sip_msg *msg, tr_param_t *path, int subtype, pv_value_t *value)
{
	if (value->flags & PV_VAL_NULL)
		return of_null(subtype);
	if (!(value->flags & PV_VAL_STR))
		value->rs.s = sint2str(value->ri, &value->rs.len);
	if (subtype != TR_ENCODE)
		return apply_json(msg, path, subtype, value);
	struct kb_buf *encoded = kb_script_result();
	kb_routing_key_encode(kb_str_to_slice(&value->rs), encoded);
	return encoded->failed ? -1 : kb_script_set_text(value, kb_buf_slice(encoded));
}

/* Finds the brace that closes the transformation; braces of pseudo-variables inside the path come in pairs. */
static size_t find_end(struct kb_slice in)
{
	int depth = 0;
	for (size_t i = 0; i < in.n; i++) {
		if (in.p[i] == '}' && depth-- == 0)
			return i;
		if (in.p[i] == '{')
			depth++;
	}
	return in.n;
}

static bool parse_path(struct kb_slice path, trans_t *t)
{
	while (path.n && path.p[0] == ' ')
		path = kb_slice(path.p + 1, path.n - 1);
	while (path.n && path.p[path.n - 1] == ' ')
		path.n--;
	str text = kb_str_from_slice(path);
	tr_param_t *parameter = pkg_malloc(sizeof *parameter);
	if (!parameter)
		return false;
	memset(parameter, 0, sizeof *parameter);
	parameter->type = TR_PARAM_OTHER;
	pv_elem_t *elements = NULL;
	if (pv_parse_format(&text, &elements) < 0) {
		pkg_free(parameter);
		return false;
	}
	parameter->v.data = elements;
	t->params = parameter;
	return true;
}

static bool parse_known(struct kb_slice name, struct kb_slice path, bool has_path, trans_t *t)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (!kb_slice_equal(known[i].name, name) || known[i].has_path != has_path)
			continue;
		t->subtype = known[i].subtype;
		return !has_path || parse_path(path, t);
	}
	return false;
}

char *kz_transformations_parse(str *in, trans_t *t)
{
	struct kb_slice text = kb_str_to_slice(in);
	size_t end = find_end(text);
	const char *comma = memchr(text.p, ',', end);
	size_t name = comma ? (size_t)(comma - text.p) : end;
	t->name = kb_str_from_slice(kb_slice(text.p, name));
	t->trf = apply;
	struct kb_slice path = kb_slice(text.p + name + 1, comma ? end - name - 1 : 0);
	if (end == text.n || !parse_known(kb_slice(text.p, name), path, comma != NULL, t)) {
		LM_ERR("unknown transformation {kz.%.*s}, expected {kz.json,path}, {kz.json.count,path} or {kz.encode}\n",
			(int)end, text.p);
		return NULL;
	}
	return in->s + end;
}
