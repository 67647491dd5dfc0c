#include "nats/info.h"

#include "nats/number.h"
#include "core/json.h"

static bool is_true(struct kb_slice json, struct kb_slice key)
{
	return kb_json_member(json, key).type == KB_JSON_TRUE;
}

/* Empty when it is not a string or is too long: a nonce that is cut off is useless. */
static void copy_text(struct kb_slice json, struct kb_slice key, char *to, size_t size)
{
	struct kb_buf text = {0};
	struct kb_json_value value = kb_json_member(json, key);
	to[0] = '\0';
	if (value.type == KB_JSON_STRING)
		kb_json_text(value, &text);
	if (!text.failed && text.n && text.n < size) {
		memcpy(to, text.p, text.n);
		to[text.n] = '\0';
	}
	kb_buf_free(&text);
}

struct kb_nats_info kb_nats_info_read(struct kb_slice json)
{
	struct kb_nats_info info = {.tls_required = is_true(json, KB_SLICE_LITERAL("tls_required")),
		.tls_available = is_true(json, KB_SLICE_LITERAL("tls_available")),
		.lame_duck = is_true(json, KB_SLICE_LITERAL("ldm")),
		.headers = is_true(json, KB_SLICE_LITERAL("headers"))};
	struct kb_json_value max = kb_json_member(json, KB_SLICE_LITERAL("max_payload"));
	if (max.type == KB_JSON_NUMBER)
		info.max_payload = kb_nats_number(max.raw);
	copy_text(json, KB_SLICE_LITERAL("nonce"), info.nonce, sizeof info.nonce);
	copy_text(json, KB_SLICE_LITERAL("server_name"), info.server_name, sizeof info.server_name);
	struct kb_json_value servers = kb_json_member(json, KB_SLICE_LITERAL("connect_urls"));
	if (servers.type == KB_JSON_ARRAY)
		info.servers = servers.raw;
	return info;
}
