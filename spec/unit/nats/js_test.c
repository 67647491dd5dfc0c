/* nats/js: what the replies of JetStream mean. */
#include "nats/js.h"

#include "check.h"

static struct kb_nats_js_reply read_reply(const char *payload, const char *status)
{
	struct kb_buf properties = {0};
	if (status)
		kb_headers_add(&properties, KB_SLICE_LITERAL("status"), kb_slice_from(status));
	struct kb_nats_js_reply reply = kb_nats_js_reply_read(kb_slice_from(payload), kb_buf_slice(&properties));
	kb_buf_free(&properties);
	return reply;
}

static void replies(void)
{
	static const char refused[] =
		"{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"wrong last sequence: 7\"}}";
	struct kb_nats_js_reply a = read_reply("{\"stream\":\"S\",\"seq\":12}", NULL);
	CHECK(a.good && a.what[0] == '\0');
	a = read_reply(refused, NULL);
	CHECK(!a.good && a.lasting);
	CHECK_TEXT(a.what, "wrong last sequence: 7 (code 400, error 10071)");
	a = read_reply("{\"error\":{\"code\":503,\"description\":\"no leader\"}}", NULL);
	CHECK(!a.good && !a.lasting);
	a = read_reply("", "503");
	CHECK(!a.good && !a.lasting);
	CHECK_CONTAINS(a.what, "no responders");
	static const char *const foreign[] = {"", "hello %s", "[1]", "7", "{\"error\":", "null"};
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
		a = read_reply(foreign[i], NULL);
		CHECK(!a.good && a.lasting);
	}
	CHECK(read_reply("{\"error\":7}", NULL).good); /* says nothing of an error */
}

/* All of these may succeed later, though their codes are those of mistakes. */
static void refusals_that_pass(void)
{
	static const char *const passing[] = {
		"{\"error\":{\"code\":400,\"err_code\":10002,\"description\":\"resource limits exceeded for account\"}}",
		"{\"error\":{\"code\":409,\"err_code\":10158,\"description\":\"duplicate message id is in process\"}}",
		"{\"error\":{\"code\":429,\"err_code\":10167,\"description\":\"too many requests\"}}"};
	for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
		struct kb_nats_js_reply a = read_reply(passing[i], NULL);
		CHECK(!a.good && !a.lasting);
	}
}

static struct kb_nats_js_reply read_stored(const char *payload)
{
	return kb_nats_js_stored_read(kb_slice_from(payload), kb_slice(NULL, 0));
}

/* An application that answers on the subject stores nothing. */
static void only_streams_acknowledge(void)
{
	CHECK(read_stored("{\"stream\":\"S\", \"seq\":12}").good);
	CHECK(read_stored("{\"stream\":\"S\",\"seq\":12,\"domain\":\"hub\",\"duplicate\":true}").good);
	static const char *const foreign[] = {"{\"ok\":true}", "{}", "{\"stream\":7}", "[\"stream\"]", "+OK"};
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
		struct kb_nats_js_reply a = read_stored(foreign[i]);
		CHECK(!a.good && a.lasting);
		CHECK_CONTAINS(a.what, "does not come from a stream");
	}
}

/* Servers up to 2.10 answer so for a copy that comes while a cluster is still storing the first. */
static void a_duplicate_without_a_sequence_is_not_known_to_be_stored(void)
{
	static const char *const unknown[] = {"{\"stream\":\"S\",\"seq\":0,\"duplicate\":true}",
		"{\"stream\":\"S\", \"seq\":0,\"duplicate\": true}", "{\"stream\":\"S\",\"seq\":0}",
		"{\"stream\":\"S\",\"duplicate\":true}"};
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		struct kb_nats_js_reply a = read_stored(unknown[i]);
		CHECK(!a.good && !a.lasting && !a.foreign);
		CHECK_CONTAINS(a.what, "not as stored");
	}
}

static void streams(void)
{
	CHECK(kb_nats_js_no_stream(KB_SLICE_LITERAL("{\"total\":0,\"streams\":null}"), kb_slice(NULL, 0)));
	CHECK(kb_nats_js_no_stream(KB_SLICE_LITERAL("{\"total\":0,\"streams\":[]}"), kb_slice(NULL, 0)));
	CHECK(!kb_nats_js_no_stream(KB_SLICE_LITERAL("{\"total\":1,\"streams\":[\"S\"]}"), kb_slice(NULL, 0)));
	CHECK(!kb_nats_js_no_stream(KB_SLICE_LITERAL("{\"error\":{\"code\":503}}"), kb_slice(NULL, 0)));
	CHECK(!kb_nats_js_no_stream(kb_slice(NULL, 0), kb_slice(NULL, 0)));
}

static void requests(void)
{
	struct kb_buf out = {0};
	kb_nats_js_put_streams_request(&out, KB_SLICE_LITERAL("a\"b"), KB_SLICE_LITERAL("in"));
	kb_buf_append_byte(&out, '\0');
	CHECK_TEXT(out.p, "PUB $JS.API.STREAM.NAMES in 18\r\n{\"subject\":\"a\\\"b\"}\r\n");
	kb_buf_free(&out);
}

int main(void)
{
	replies();
	refusals_that_pass();
	only_streams_acknowledge();
	a_duplicate_without_a_sequence_is_not_known_to_be_stored();
	streams();
	requests();
	return check_failures ? 1 : 0;
}
