/* nats/kv: keys, requests, and what the replies of JetStream mean. */
#include "nats/kv.h"

#include "check.h"

static struct kb_buf memory, text;

static bool same(struct kb_slice s, const char *wanted)
{
	return kb_slice_equal(s, kb_slice_from(wanted));
}

static void keys(void)
{
	static const char *const good[] = {"k", "a.b.c", "-/_=", "sip/alice=1", "A.9", "="};
	static const char *const bad[] = {"", ".", ".a", "a.", "a..b", "a b", "*", "a.>", "a:b", "a\n", "\xc3\xa4"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		CHECK(!kb_nats_kv_key_fault(kb_slice_from(good[i])));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(kb_nats_kv_key_fault(kb_slice_from(bad[i])));
	CHECK(kb_nats_kv_key_fault(kb_slice("a\0b", 3)));
	CHECK_TEXT(kb_nats_kv_key_fault(KB_SLICE_LITERAL(".a")), "begins with a dot");
	CHECK_TEXT(kb_nats_kv_key_fault(KB_SLICE_LITERAL("a..b")), "has two dots in a row");
}

static const char *built(void)
{
	kb_buf_append_byte(&text, '\0');
	return text.p;
}

static void requests(void)
{
	const struct kb_slice bucket = KB_SLICE_LITERAL("b"), key = KB_SLICE_LITERAL("k.1");
	kb_buf_clear(&text);
	kb_nats_kv_subject(bucket, key, &text);
	CHECK_TEXT(built(), "$KV.b.k.1");
	kb_buf_clear(&text);
	kb_nats_kv_info_subject(bucket, &text);
	CHECK_TEXT(built(), "$JS.API.STREAM.INFO.KV_b");
	kb_buf_clear(&text);
	kb_nats_kv_direct_subject(bucket, key, &text);
	CHECK_TEXT(built(), "$JS.API.DIRECT.GET.KV_b.$KV.b.k.1");
	kb_buf_clear(&text);
	kb_nats_kv_stored_subject(bucket, &text);
	CHECK_TEXT(built(), "$JS.API.STREAM.MSG.GET.KV_b");
	kb_buf_clear(&text);
	kb_nats_kv_stored_request(bucket, key, &text);
	CHECK_TEXT(built(), "{\"last_by_subj\":\"$KV.b.k.1\"}");
}

static struct kb_nats_kv_reply direct(const char *name, const char *value, const char *status, const char *payload)
{
	static struct kb_buf headers, properties;
	kb_buf_clear(&headers);
	kb_buf_clear(&properties);
	kb_headers_add(&headers, KB_SLICE_LITERAL("Nats-Sequence"), KB_SLICE_LITERAL("18446744073709551"));
	if (name)
		kb_headers_add(&headers, kb_slice_from(name), kb_slice_from(value));
	if (status) {
		kb_headers_add(&properties, KB_SLICE_LITERAL("status"), kb_slice_from(status));
		kb_headers_add(&properties, KB_SLICE_LITERAL("description"), KB_SLICE_LITERAL("Bad Request"));
	}
	return kb_nats_kv_read_direct(&(struct kb_message){
		.headers = kb_buf_slice(&headers), .properties = kb_buf_slice(&properties), .payload = kb_slice_from(payload)});
}

static void direct_replies(void)
{
	struct kb_nats_kv_reply a = direct(NULL, NULL, NULL, "value");
	CHECK(a.result == KB_NATS_KV_OK && a.revision == 18446744073709551u && same(a.value, "value"));
	a = direct("KV-Operation", "PUT", NULL, "");
	CHECK(a.result == KB_NATS_KV_OK && a.value.p && a.value.n == 0);
	CHECK(direct("KV-Operation", "DEL", NULL, "").result == KB_NATS_KV_NO_KEY);
	CHECK(direct("KV-Operation", "DEL", NULL, "").revision == 18446744073709551u);
	CHECK(direct("KV-Operation", "PURGE", NULL, "").result == KB_NATS_KV_NO_KEY);
	CHECK(direct("Nats-Marker-Reason", "MaxAge", NULL, "").result == KB_NATS_KV_NO_KEY);
	CHECK(direct(NULL, NULL, "404", "").result == KB_NATS_KV_NO_KEY && direct(NULL, NULL, "404", "").revision == 0);
	a = direct(NULL, NULL, "408", "");
	CHECK(a.result == KB_NATS_KV_FAILED && same(a.error, "Bad Request"));
	CHECK(kb_nats_kv_read_direct(&(struct kb_message){.payload = KB_SLICE_LITERAL("x")}).result == KB_NATS_KV_FAILED);
}

static struct kb_nats_kv_reply stored(const char *payload)
{
	return kb_nats_kv_read_stored(kb_slice_from(payload), &memory);
}

static void stored_replies(void)
{
	struct kb_nats_kv_reply a =
		stored("{\"type\":\"x\",\"message\":{\"subject\":\"$KV.b.k\",\"seq\":7,\"data\":\"YQBi/w==\"}}");
	CHECK(a.result == KB_NATS_KV_OK && a.revision == 7);
	CHECK(kb_slice_equal(a.value, kb_slice("a\0b\xff", 4)));
	a = stored("{\"message\":{\"seq\":8}}");
	CHECK(a.result == KB_NATS_KV_OK && a.revision == 8 && a.value.p && a.value.n == 0);
	/* NATS/1.0, KV-Operation: DEL */
	a = stored("{\"message\":{\"seq\":9,\"hdrs\":\"TkFUUy8xLjANCktWLU9wZXJhdGlvbjogREVMDQoNCg==\"}}");
	CHECK(a.result == KB_NATS_KV_NO_KEY && a.revision == 9);
	CHECK(stored("{\"error\":{\"code\":404,\"err_code\":10037,\"description\":\"no message found\"}}").result ==
		  KB_NATS_KV_NO_KEY);
	CHECK(stored("{\"error\":{\"code\":404,\"err_code\":10059,\"description\":\"x\"}}").result == KB_NATS_KV_NO_BUCKET);
	a = stored("{\"error\":{\"code\":503,\"err_code\":10039,\"description\":\"not \\\"enabled\\\"\"}}");
	CHECK(a.result == KB_NATS_KV_FAILED && same(a.error, "not \"enabled\""));
	static const char *const broken[] = {"", "x", "[]", "{}", "{\"message\":5}", "{\"message\":{}}",
		"{\"message\":{\"seq\":-1}}", "{\"message\":{\"seq\":1,\"data\":\"a\"}}",
		"{\"message\":{\"seq\":1,\"data\":\"#\"}}", "{\"message\":{\"seq\":1,\"hdrs\":\"YWJj\"}}",
		"{\"message\":{\"seq\":99999999999999999999999}}"};
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
		CHECK(stored(broken[i]).result == KB_NATS_KV_FAILED);
}

static void descriptions(void)
{
	bool direct = false;
	CHECK(kb_nats_kv_read_info(KB_SLICE_LITERAL("{\"config\":{\"allow_direct\":true}}"), &memory, &direct).result ==
		  KB_NATS_KV_OK);
	CHECK(direct);
	CHECK(kb_nats_kv_read_info(KB_SLICE_LITERAL("{\"config\":{}}"), &memory, &direct).result == KB_NATS_KV_OK);
	CHECK(!direct);
	CHECK(kb_nats_kv_read_info(KB_SLICE_LITERAL("{\"error\":{\"err_code\":10059}}"), &memory, &direct).result ==
		  KB_NATS_KV_NO_BUCKET);
	CHECK(kb_nats_kv_read_info(KB_SLICE_LITERAL("{}"), &memory, &direct).result == KB_NATS_KV_FAILED);
}

static enum kb_nats_kv_result acked(const char *payload, uint64_t *revision)
{
	struct kb_nats_kv_reply a = kb_nats_kv_read_ack(kb_slice_from(payload), &memory);
	*revision = a.revision;
	return a.result;
}

static void acknowledgements(void)
{
	uint64_t revision;
	CHECK(acked("{\"stream\":\"KV_b\", \"seq\":12}", &revision) == KB_NATS_KV_OK && revision == 12);
	CHECK(acked("{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"wrong last sequence: 3\"},"
				"\"stream\":\"KV_b\",\"seq\":0}",
			  &revision) == KB_NATS_KV_CONFLICT);
	CHECK(acked("{\"error\":{\"code\":400,\"err_code\":10077,\"description\":\"maximum messages\"}}", &revision) ==
		  KB_NATS_KV_FAILED);
	CHECK(acked("not json", &revision) == KB_NATS_KV_FAILED);
	CHECK(acked("{\"stream\":\"KV_b\"}", &revision) == KB_NATS_KV_FAILED);
}

int main(void)
{
	keys();
	requests();
	direct_replies();
	stored_replies();
	descriptions();
	acknowledgements();
	kb_buf_free(&memory);
	kb_buf_free(&text);
	return check_failures ? 1 : 0;
}
