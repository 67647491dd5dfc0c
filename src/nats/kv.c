#include "nats/kv.h"

#include "nats/base64.h"
#include "nats/headers.h"
#include "nats/number.h"
#include "core/json.h"

enum {
	/* err_code of JetStream's replies */
	STREAM_NOT_FOUND = 10059,
	MESSAGE_NOT_FOUND = 10037,
	WRONG_SEQUENCE = 10071,
	WRONG_SEQUENCE_IN_CLUSTER = 10164
};

/* -- keys -- */

static bool is_key_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || memchr("-/_=.", c, 5);
}

const char *kb_nats_kv_key_fault(struct kb_slice key)
{
	char before = '.';
	if (key.n == 0)
		return "empty";
	for (size_t i = 0; i < key.n; i++) {
		char c = key.p[i];
		if (!is_key_character(c))
			return "may contain only letters, digits and - / _ = .";
		if (c == '.' && before == '.')
			return i == 0 ? "begins with a dot" : "has two dots in a row";
		before = c;
	}
	return before == '.' ? "ends with a dot" : NULL;
}

/* -- requests -- */

static void append_text(struct kb_buf *out, const char *text)
{
	kb_buf_append_slice(out, kb_slice_from(text));
}

void kb_nats_kv_subject(struct kb_slice bucket, struct kb_slice key, struct kb_buf *out)
{
	append_text(out, "$KV.");
	kb_buf_append_slice(out, bucket);
	kb_buf_append_byte(out, '.');
	kb_buf_append_slice(out, key);
}

void kb_nats_kv_info_subject(struct kb_slice bucket, struct kb_buf *out)
{
	append_text(out, "$JS.API.STREAM.INFO.KV_");
	kb_buf_append_slice(out, bucket);
}

void kb_nats_kv_direct_subject(struct kb_slice bucket, struct kb_slice key, struct kb_buf *out)
{
	append_text(out, "$JS.API.DIRECT.GET.KV_");
	kb_buf_append_slice(out, bucket);
	kb_buf_append_byte(out, '.');
	kb_nats_kv_subject(bucket, key, out);
}

void kb_nats_kv_stored_subject(struct kb_slice bucket, struct kb_buf *out)
{
	append_text(out, "$JS.API.STREAM.MSG.GET.KV_");
	kb_buf_append_slice(out, bucket);
}

void kb_nats_kv_stored_request(struct kb_slice bucket, struct kb_slice key, struct kb_buf *out)
{
	append_text(out, "{\"last_by_subj\":\"");
	kb_nats_kv_subject(bucket, key, out);
	append_text(out, "\"}");
}

/* -- replies -- */

static struct kb_nats_kv_reply failed(struct kb_slice why)
{
	return (struct kb_nats_kv_reply){.result = KB_NATS_KV_FAILED, .error = why};
}

static struct kb_nats_kv_reply unreadable(void)
{
	return failed(KB_SLICE_LITERAL("unreadable reply"));
}

/* A value, unless its headers mark a deletion. */
static struct kb_nats_kv_reply found(uint64_t revision, struct kb_slice headers, struct kb_slice value)
{
	struct kb_slice operation = kb_headers_find(headers, KB_SLICE_LITERAL("KV-Operation"));
	bool deleted = kb_slice_equal(operation, KB_SLICE_LITERAL("DEL")) ||
				   kb_slice_equal(operation, KB_SLICE_LITERAL("PURGE")) ||
				   kb_headers_find(headers, KB_SLICE_LITERAL("Nats-Marker-Reason")).p;
	if (!revision)
		return unreadable();
	return (struct kb_nats_kv_reply){.result = deleted ? KB_NATS_KV_NO_KEY : KB_NATS_KV_OK,
		.revision = revision,
		.value = deleted ? kb_slice("", 0) : value};
}

struct kb_nats_kv_reply kb_nats_kv_read_direct(const struct kb_message *m)
{
	struct kb_slice status = kb_headers_find(m->properties, KB_SLICE_LITERAL("status"));
	if (kb_slice_equal(status, KB_SLICE_LITERAL("404")))
		return (struct kb_nats_kv_reply){.result = KB_NATS_KV_NO_KEY};
	if (status.n)
		return failed(kb_headers_find(m->properties, KB_SLICE_LITERAL("description")));
	if (!m->headers.n)
		return failed(KB_SLICE_LITERAL("reply without headers: the server does not support them (no_header_support)"));
	uint64_t revision = kb_nats_number(kb_headers_find(m->headers, KB_SLICE_LITERAL("Nats-Sequence")));
	return found(revision, m->headers, kb_slice(m->payload.p ? m->payload.p : "", m->payload.n));
}

/* True when the reply is one of the server's refusals. */
static bool is_error(struct kb_slice payload, struct kb_buf *memory, struct kb_nats_kv_reply *a)
{
	struct kb_json_value error = kb_json_member(payload, KB_SLICE_LITERAL("error"));
	if (error.type != KB_JSON_OBJECT)
		return false;
	switch (kb_nats_number(kb_json_member(error.raw, KB_SLICE_LITERAL("err_code")).raw)) {
	case STREAM_NOT_FOUND: *a = (struct kb_nats_kv_reply){.result = KB_NATS_KV_NO_BUCKET}; break;
	case MESSAGE_NOT_FOUND: *a = (struct kb_nats_kv_reply){.result = KB_NATS_KV_NO_KEY}; break;
	case WRONG_SEQUENCE:
	case WRONG_SEQUENCE_IN_CLUSTER: *a = (struct kb_nats_kv_reply){.result = KB_NATS_KV_CONFLICT}; break;
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
	bool good = !text.failed && kb_nats_base64_decode(kb_buf_slice(&text), to);
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

struct kb_nats_kv_reply kb_nats_kv_read_stored(struct kb_slice payload, struct kb_buf *memory)
{
	struct kb_nats_kv_reply a = unreadable();
	struct kb_buf headers = {0};
	struct kb_slice message = kb_json_member(payload, KB_SLICE_LITERAL("message")).raw;
	if (is_error(payload, memory, &a))
		return a;
	if (read_headers(message, &headers) && decode_member(message, "data", memory))
		a = found(kb_nats_number(kb_json_member(message, KB_SLICE_LITERAL("seq")).raw), kb_buf_slice(&headers),
			kb_slice(memory->p ? memory->p : "", memory->n));
	kb_buf_free(&headers);
	return a;
}

struct kb_nats_kv_reply kb_nats_kv_read_ack(struct kb_slice payload, struct kb_buf *memory)
{
	struct kb_nats_kv_reply a;
	if (is_error(payload, memory, &a))
		return a;
	return found(
		kb_nats_number(kb_json_member(payload, KB_SLICE_LITERAL("seq")).raw), kb_slice(NULL, 0), kb_slice("", 0));
}

struct kb_nats_kv_reply kb_nats_kv_read_info(struct kb_slice payload, struct kb_buf *memory, bool *direct)
{
	struct kb_nats_kv_reply a = {.result = KB_NATS_KV_OK};
	struct kb_json_value config = kb_json_member(payload, KB_SLICE_LITERAL("config"));
	*direct = kb_json_member(config.raw, KB_SLICE_LITERAL("allow_direct")).type == KB_JSON_TRUE;
	if (is_error(payload, memory, &a))
		return a;
	return config.type == KB_JSON_OBJECT ? a : unreadable();
}
