#include "nats/kv_bucket.h"

#include "nats/number.h"
#include "core/json.h"

enum {
	NAME_IN_USE = 10058, /* err_code: it exists with another configuration */
	HISTORY_MAX = 64,
	REPLICAS_MAX = 5,
	TTL_MAX_S = 3650 * 24 * 3600u
};

static bool is_word_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

const char *kb_nats_kv_bucket_fault(struct kb_slice bucket)
{
	if (bucket.n == 0)
		return "empty";
	for (size_t i = 0; i < bucket.n; i++)
		if (!is_word_character(bucket.p[i]))
			return "may contain only letters, digits, - and _";
	return NULL;
}

static bool read_number(struct kb_slice text, unsigned most, unsigned *to)
{
	uint64_t n = 0;
	bool good = kb_number_read(text, most, &n) && n > 0;
	*to = (unsigned)n;
	return good;
}

static const char *read_setting(struct kb_slice name, struct kb_slice value, struct kb_nats_kv_bucket *b)
{
	if (kb_slice_equal(name, KB_SLICE_LITERAL("history")))
		return read_number(value, HISTORY_MAX, &b->history) ? NULL : "history must be 1 to 64";
	if (kb_slice_equal(name, KB_SLICE_LITERAL("ttl")))
		return read_number(value, TTL_MAX_S, &b->ttl_s) ? NULL : "ttl must be a number of seconds";
	if (kb_slice_equal(name, KB_SLICE_LITERAL("replicas")))
		return read_number(value, REPLICAS_MAX, &b->replicas) ? NULL : "replicas must be 1 to 5";
	if (!kb_slice_equal(name, KB_SLICE_LITERAL("storage")))
		return "unknown setting, expected history, ttl, replicas or storage";
	b->in_memory = kb_slice_equal(value, KB_SLICE_LITERAL("memory"));
	return b->in_memory || kb_slice_equal(value, KB_SLICE_LITERAL("file")) ? NULL : "storage must be file or memory";
}

const char *kb_nats_kv_bucket_read(struct kb_slice text, struct kb_nats_kv_bucket *b)
{
	struct kb_buf settings = {0};
	struct kb_slice bad, rest, name, value;
	const char *end = memchr(text.p ? text.p : "", ';', text.n), *fault;
	*b = (struct kb_nats_kv_bucket){
		.name = kb_slice(text.p, end ? (size_t)(end - text.p) : text.n), .history = 1, .replicas = 1};
	fault = kb_nats_kv_bucket_fault(b->name);
	if (!fault && end && !kb_headers_parse(kb_slice(end, text.n - b->name.n), &settings, &bad))
		fault = "settings must be of the form name=value";
	rest = kb_buf_slice(&settings);
	while (!fault && kb_headers_next(&rest, &name, &value))
		fault = read_setting(name, value, b);
	kb_buf_free(&settings);
	return fault;
}

void kb_nats_kv_bucket_create_subject(const struct kb_nats_kv_bucket *b, struct kb_buf *out)
{
	kb_buf_append_slice(out, KB_SLICE_LITERAL("$JS.API.STREAM.CREATE.KV_"));
	kb_buf_append_slice(out, b->name);
}

/* The configuration that all clients give a new bucket: a full one refuses new values, and deletions are messages. */
void kb_nats_kv_bucket_create_request(const struct kb_nats_kv_bucket *b, struct kb_buf *out)
{
	int n = (int)b->name.n;
	kb_buf_printf(out,
		"{\"name\":\"KV_%.*s\",\"subjects\":[\"$KV.%.*s.>\"],\"max_msgs_per_subject\":%u,\"max_age\":%llu,"
		"\"storage\":\"%s\",\"num_replicas\":%u,\"retention\":\"limits\",\"discard\":\"new\",\"max_msgs\":-1,"
		"\"max_bytes\":-1,\"max_msg_size\":-1,\"max_consumers\":-1,\"duplicate_window\":%llu,"
		"\"allow_rollup_hdrs\":true,\"deny_delete\":true,\"allow_direct\":true}",
		n, b->name.p, n, b->name.p, b->history, b->ttl_s * 1000000000ull, b->in_memory ? "memory" : "file", b->replicas,
		(b->ttl_s && b->ttl_s < 120 ? b->ttl_s : 120) * 1000000000ull);
}

struct kb_nats_kv_reply kb_nats_kv_bucket_read_created(struct kb_slice payload, struct kb_buf *memory)
{
	struct kb_json_value error = kb_json_member(payload, KB_SLICE_LITERAL("error"));
	if (kb_nats_number(kb_json_member(error.raw, KB_SLICE_LITERAL("err_code")).raw) == NAME_IN_USE)
		return (struct kb_nats_kv_reply){.result = KB_NATS_KV_OK};
	bool direct;
	return kb_nats_kv_read_info(payload, memory, &direct);
}
