/* nats/kv_bucket: what configurations say of a bucket, and how it is created. */
#include "nats/kv_bucket.h"

#include "check.h"

static struct kb_buf memory, text;

static bool same(struct kb_slice s, const char *wanted)
{
	return kb_slice_equal(s, kb_slice_from(wanted));
}

static void names(void)
{
	static const char *const good[] = {"b", "B-1_x", "0"};
	static const char *const bad[] = {"", "a.b", "a b", "a/b", "a*", ">", "a=b", "\xc3\xa4"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		CHECK(!kb_nats_kv_bucket_fault(kb_slice_from(good[i])));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(kb_nats_kv_bucket_fault(kb_slice_from(bad[i])));
}

static const char *built(void)
{
	kb_buf_append_byte(&text, '\0');
	return text.p;
}

static const char *read_bucket(const char *from, struct kb_nats_kv_bucket *b)
{
	return kb_nats_kv_bucket_read(kb_slice_from(from), b);
}

static void buckets(void)
{
	struct kb_nats_kv_bucket b;
	CHECK(!read_bucket("calls", &b) && same(b.name, "calls"));
	CHECK(b.history == 1 && b.ttl_s == 0 && b.replicas == 1 && !b.in_memory);
	CHECK(!read_bucket("calls;history=5; ttl=60;replicas=3;storage=memory", &b) && same(b.name, "calls"));
	CHECK(b.history == 5 && b.ttl_s == 60 && b.replicas == 3 && b.in_memory);
	CHECK(!read_bucket("calls;storage=file", &b) && !b.in_memory);
	static const char *const wrong[] = {"", ";history=1", "a b", "b;history", "b;history=0", "b;history=65",
		"b;history=x", "b;ttl=-1", "b;ttl=", "b;replicas=6", "b;storage=tape", "b;size=5"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(read_bucket(wrong[i], &b));
	read_bucket("calls;ttl=60", &b);
	kb_buf_clear(&text);
	kb_nats_kv_bucket_create_subject(&b, &text);
	CHECK_TEXT(built(), "$JS.API.STREAM.CREATE.KV_calls");
	kb_buf_clear(&text);
	kb_nats_kv_bucket_create_request(&b, &text);
	CHECK_CONTAINS(built(), "\"name\":\"KV_calls\",\"subjects\":[\"$KV.calls.>\"],\"max_msgs_per_subject\":1,"
							"\"max_age\":60000000000,\"storage\":\"file\",\"num_replicas\":1,");
	CHECK(kb_nats_kv_bucket_read_created(KB_SLICE_LITERAL("{\"config\":{\"name\":\"KV_b\"}}"), &memory).result ==
		  KB_NATS_KV_OK);
	CHECK(kb_nats_kv_bucket_read_created(KB_SLICE_LITERAL("{\"error\":{\"err_code\":10058}}"), &memory).result ==
		  KB_NATS_KV_OK);
	CHECK(kb_nats_kv_bucket_read_created(KB_SLICE_LITERAL("{\"error\":{\"err_code\":10047}}"), &memory).result ==
		  KB_NATS_KV_FAILED);
	CHECK(kb_nats_kv_bucket_read_created(KB_SLICE_LITERAL(""), &memory).result == KB_NATS_KV_FAILED);
}

int main(void)
{
	names();
	buckets();
	kb_buf_free(&memory);
	kb_buf_free(&text);
	return check_failures ? 1 : 0;
}
