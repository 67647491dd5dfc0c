#include "kamailio/kazoo/json.h"

#include "core/json.h"
#include "core/log.h"
#include "kamailio/glue/script.h"
#include "kamailio/kazoo/settings.h"

/* As in Debian's module, a payload that is no JSON has no fields, which is no failure. */
static void tell_unreadable(const char *function, struct kb_slice text, struct kb_log_limit *limit)
{
	if (kb_json_get(text, kb_slice(NULL, 0), 0).type != KB_JSON_OBJECT)
		kb_log_limited(limit, KB_LOG_ERROR, "%s: the payload is not a JSON object: %.*s", function, KB_SLICE_FMT(text));
}

int kz_json(struct sip_msg *msg, char *json, char *field, char *target)
{
	static struct kb_log_limit unreadable;
	struct kb_slice text, path;
	pv_value_t value;
	if (!kb_script_get(msg, "kazoo_json", "json_payload", json, &text) ||
		!kb_script_get(msg, "kazoo_json", "field", field, &path))
		return -1;
	struct kb_json_value found = kb_json_get(text, path, kz_settings()->json_escape);
	if (found.type == KB_JSON_NONE)
		tell_unreadable("kazoo_json", text, &unreadable);
	kb_script_set_json(msg, &value, found);
	return kb_script_assign(msg, (pv_spec_t *)target, &value);
}

struct keys {
	struct sip_msg *msg;
	pv_spec_t *target;
	bool failed;
};

static bool add_key(void *context, struct kb_slice key, struct kb_json_value member)
{
	struct keys *keys = context;
	pv_value_t value;
	(void)member;
	kb_script_set_text(&value, key);
	keys->failed = kb_script_assign(keys->msg, keys->target, &value) < 0;
	return !keys->failed;
}

int kz_json_keys(struct sip_msg *msg, char *json, char *field, char *target)
{
	static struct kb_log_limit unreadable, no_object;
	struct kb_slice text, path;
	if (!kb_script_get(msg, "kazoo_json_keys", "json_payload", json, &text) ||
		!kb_script_get(msg, "kazoo_json_keys", "field", field, &path))
		return -1;
	struct kb_json_value object = kb_json_get(text, path, kz_settings()->json_escape);
	struct keys keys = {msg, (pv_spec_t *)target, false};
	if (object.type == KB_JSON_NONE)
		tell_unreadable("kazoo_json_keys", text, &unreadable);
	if (object.type == KB_JSON_NONE || object.type == KB_JSON_NULL)
		return 1;
	if (object.type != KB_JSON_OBJECT || !kb_json_each(object.raw, add_key, &keys)) {
		kb_log_limited(&no_object, KB_LOG_ERROR, "kazoo_json_keys: no object at \"%.*s\" in %.*s", KB_SLICE_FMT(path),
			KB_SLICE_FMT(text));
		return -1;
	}
	return keys.failed ? -1 : 1;
}
