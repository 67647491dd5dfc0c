#include "nats/kv.h"

#include "nats/wire.h"
#include "core/base64.h"
#include "core/json.h"

enum {
	/* err_code of JetStream's answers */
	STREAM_NOT_FOUND = 10059,
	MESSAGE_NOT_FOUND = 10037,
	NAME_IN_USE = 10058, /* with another configuration */
	WRONG_SEQUENCE = 10071,
	WRONG_SEQUENCE_IN_CLUSTER = 10164,

	HISTORY_MAX = 64,
	REPLICAS_MAX = 5,
	TTL_MAX_S = 3650 * 24 * 3600u
};

/* -- names -- */

static bool is_word_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

const char *kb_kv_bucket_fault(struct kb_slice bucket)
{
	if (bucket.n == 0)
		return "it is empty";
	for (size_t i = 0; i < bucket.n; i++)
		if (!is_word_character(bucket.p[i]))
			return "it may hold letters, digits, - and _ only";
	return NULL;
}

const char *kb_kv_key_fault(struct kb_slice key)
{
	char before = '.';
	if (key.n == 0)
		return "it is empty";
	for (size_t i = 0; i < key.n; i++) {
		char c = key.p[i];
		if (!is_word_character(c) && c != '/' && c != '=' && c != '.')
			return "it may hold letters, digits and - / _ = . only";
		if (c == '.' && before == '.')
			return "it begins with a dot, or has two in a row";
		before = c;
	}
	return before == '.' ? "it ends in a dot" : NULL;
}

/* -- questions -- */

static void append_text(struct kb_buf *out, const char *text)
{
	kb_buf_append_slice(out, kb_slice_from(text));
}

void kb_kv_subject(struct kb_slice bucket, struct kb_slice key, struct kb_buf *out)
{
	append_text(out, "$KV.");
	kb_buf_append_slice(out, bucket);
	kb_buf_append_byte(out, '.');
	kb_buf_append_slice(out, key);
}

void kb_kv_info_subject(struct kb_slice bucket, struct kb_buf *out)
{
	append_text(out, "$JS.API.STREAM.INFO.KV_");
	kb_buf_append_slice(out, bucket);
}

void kb_kv_direct_subject(struct kb_slice bucket, struct kb_slice key, struct kb_buf *out)
{
	append_text(out, "$JS.API.DIRECT.GET.KV_");
	kb_buf_append_slice(out, bucket);
	kb_buf_append_byte(out, '.');
	kb_kv_subject(bucket, key, out);
}

void kb_kv_stored_subject(struct kb_slice bucket, struct kb_buf *out)
{
	append_text(out, "$JS.API.STREAM.MSG.GET.KV_");
	kb_buf_append_slice(out, bucket);
}

void kb_kv_stored_question(struct kb_slice bucket, struct kb_slice key, struct kb_buf *out)
{
	append_text(out, "{\"last_by_subj\":\"");
	kb_kv_subject(bucket, key, out);
	append_text(out, "\"}");
}

/* -- answers -- */

/* 0: it is no number. */
static uint64_t number_of(struct kb_slice digits)
{
	uint64_t n = 0;
	for (size_t i = 0; i < digits.n; i++) {
		if (digits.p[i] < '0' || digits.p[i] > '9' || n > UINT64_MAX / 10 - 1)
			return 0;
		n = n * 10 + (uint64_t)(digits.p[i] - '0');
	}
	return n;
}

static struct kb_kv_answer failed(struct kb_slice why)
{
	return (struct kb_kv_answer){.result = KB_KV_FAILED, .error = why};
}

static struct kb_kv_answer unreadable(void)
{
	return failed(KB_SLICE_LITERAL("the answer cannot be read"));
}

/* A value, unless its headers mark a deletion. */
static struct kb_kv_answer found(uint64_t revision, struct kb_slice headers, struct kb_slice value)
{
	struct kb_slice operation = kb_headers_find(headers, KB_SLICE_LITERAL("KV-Operation"));
	bool deleted = kb_slice_equal(operation, KB_SLICE_LITERAL("DEL")) ||
				   kb_slice_equal(operation, KB_SLICE_LITERAL("PURGE")) ||
				   kb_headers_find(headers, KB_SLICE_LITERAL("Nats-Marker-Reason")).p;
	if (!revision)
		return unreadable();
	return (struct kb_kv_answer){
		.result = deleted ? KB_KV_NO_KEY : KB_KV_OK, .revision = revision, .value = deleted ? kb_slice("", 0) : value};
}

struct kb_kv_answer kb_kv_read_direct(const struct kb_message *m)
{
	struct kb_slice status = kb_headers_find(m->properties, KB_SLICE_LITERAL("status"));
	if (kb_slice_equal(status, KB_SLICE_LITERAL("404")))
		return (struct kb_kv_answer){.result = KB_KV_NO_KEY};
	if (status.n)
		return failed(kb_headers_find(m->properties, KB_SLICE_LITERAL("description")));
	if (!m->headers.n)
		return failed(KB_SLICE_LITERAL("the answer is without its headers, as from a server with no_header_support"));
	uint64_t revision = number_of(kb_headers_find(m->headers, KB_SLICE_LITERAL("Nats-Sequence")));
	return found(revision, m->headers, kb_slice(m->payload.p ? m->payload.p : "", m->payload.n));
}

/* True when the answer is one of the server's refusals. */
static bool is_error(struct kb_slice payload, struct kb_buf *memory, struct kb_kv_answer *a)
{
	struct kb_json_value error = kb_json_member(payload, KB_SLICE_LITERAL("error"));
	if (error.type != KB_JSON_OBJECT)
		return false;
	switch (number_of(kb_json_member(error.raw, KB_SLICE_LITERAL("err_code")).raw)) {
	case STREAM_NOT_FOUND: *a = (struct kb_kv_answer){.result = KB_KV_NO_BUCKET}; break;
	case MESSAGE_NOT_FOUND: *a = (struct kb_kv_answer){.result = KB_KV_NO_KEY}; break;
	case WRONG_SEQUENCE:
	case WRONG_SEQUENCE_IN_CLUSTER: *a = (struct kb_kv_answer){.result = KB_KV_CONFLICT}; break;
	default:
		kb_buf_clear(memory);
		kb_json_text(kb_json_member(error.raw, KB_SLICE_LITERAL("description")), memory);
		*a = failed(kb_buf_slice(memory));
	}
	return true;
}

/* Replaces what `to` holds by the bytes of a member, none when it is not there. */
static bool decode_member(struct kb_slice object, const char *name, struct kb_buf *to)
{
	struct kb_buf text = {0};
	kb_json_text(kb_json_member(object, kb_slice_from(name)), &text);
	kb_buf_clear(to);
	bool good = !text.failed && kb_base64_decode(kb_buf_slice(&text), to);
	kb_buf_free(&text);
	return good;
}

static bool read_headers(struct kb_slice message, struct kb_buf *headers)
{
	struct kb_buf block = {0}, properties = {0};
	bool good = decode_member(message, "hdrs", &block) &&
				(!block.n || kb_nats_headers_read(kb_buf_slice(&block), headers, &properties));
	kb_buf_free(&block);
	kb_buf_free(&properties);
	return good;
}

struct kb_kv_answer kb_kv_read_stored(struct kb_slice payload, struct kb_buf *memory)
{
	struct kb_kv_answer a = unreadable();
	struct kb_buf headers = {0};
	struct kb_slice message = kb_json_member(payload, KB_SLICE_LITERAL("message")).raw;
	if (is_error(payload, memory, &a))
		return a;
	if (read_headers(message, &headers) && decode_member(message, "data", memory))
		a = found(number_of(kb_json_member(message, KB_SLICE_LITERAL("seq")).raw), kb_buf_slice(&headers),
			kb_slice(memory->p ? memory->p : "", memory->n));
	kb_buf_free(&headers);
	return a;
}

struct kb_kv_answer kb_kv_read_ack(struct kb_slice payload, struct kb_buf *memory)
{
	struct kb_kv_answer a;
	if (is_error(payload, memory, &a))
		return a;
	return found(number_of(kb_json_member(payload, KB_SLICE_LITERAL("seq")).raw), kb_slice(NULL, 0), kb_slice("", 0));
}

struct kb_kv_answer kb_kv_read_info(struct kb_slice payload, struct kb_buf *memory, bool *direct)
{
	struct kb_kv_answer a = {.result = KB_KV_OK};
	struct kb_json_value config = kb_json_member(payload, KB_SLICE_LITERAL("config"));
	*direct = kb_json_member(config.raw, KB_SLICE_LITERAL("allow_direct")).type == KB_JSON_TRUE;
	if (is_error(payload, memory, &a))
		return a;
	return config.type == KB_JSON_OBJECT ? a : unreadable();
}

/* -- making a bucket -- */

static bool read_number(struct kb_slice text, unsigned least, unsigned most, unsigned *to)
{
	uint64_t n = number_of(text);
	*to = (unsigned)n;
	return text.n && n >= least && n <= most;
}

static const char *read_setting(struct kb_slice name, struct kb_slice value, struct kb_kv_bucket *b)
{
	if (kb_slice_equal(name, KB_SLICE_LITERAL("history")))
		return read_number(value, 1, HISTORY_MAX, &b->history) ? NULL : "history must be 1 to 64";
	if (kb_slice_equal(name, KB_SLICE_LITERAL("ttl")))
		return read_number(value, 1, TTL_MAX_S, &b->ttl_s) ? NULL : "ttl must be a number of seconds";
	if (kb_slice_equal(name, KB_SLICE_LITERAL("replicas")))
		return read_number(value, 1, REPLICAS_MAX, &b->replicas) ? NULL : "replicas must be 1 to 5";
	if (!kb_slice_equal(name, KB_SLICE_LITERAL("storage")))
		return "its settings are history, ttl, replicas and storage";
	b->in_memory = kb_slice_equal(value, KB_SLICE_LITERAL("memory"));
	return b->in_memory || kb_slice_equal(value, KB_SLICE_LITERAL("file")) ? NULL : "storage must be file or memory";
}

const char *kb_kv_bucket_read(struct kb_slice text, struct kb_kv_bucket *b)
{
	struct kb_buf settings = {0};
	struct kb_slice bad, rest, name, value;
	const char *end = memchr(text.p ? text.p : "", ';', text.n), *fault;
	*b = (struct kb_kv_bucket){
		.name = kb_slice(text.p, end ? (size_t)(end - text.p) : text.n), .history = 1, .replicas = 1};
	fault = kb_kv_bucket_fault(b->name);
	if (!fault && end && !kb_headers_parse(kb_slice(end, text.n - b->name.n), &settings, &bad))
		fault = "its settings must be of the form name=value";
	rest = kb_buf_slice(&settings);
	while (!fault && kb_headers_next(&rest, &name, &value))
		fault = read_setting(name, value, b);
	kb_buf_free(&settings);
	return fault;
}

void kb_kv_create_subject(const struct kb_kv_bucket *b, struct kb_buf *out)
{
	append_text(out, "$JS.API.STREAM.CREATE.KV_");
	kb_buf_append_slice(out, b->name);
}

/* What all clients ask for when they make a bucket: a full one refuses new values, and deletions are messages. */
void kb_kv_create_question(const struct kb_kv_bucket *b, struct kb_buf *out)
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

struct kb_kv_answer kb_kv_read_created(struct kb_slice payload, struct kb_buf *memory)
{
	struct kb_json_value error = kb_json_member(payload, KB_SLICE_LITERAL("error"));
	if (number_of(kb_json_member(error.raw, KB_SLICE_LITERAL("err_code")).raw) == NAME_IN_USE)
		return (struct kb_kv_answer){.result = KB_KV_OK};
	bool direct;
	return kb_kv_read_info(payload, memory, &direct);
}
