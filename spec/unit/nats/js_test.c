/* nats/js: what JetStream answers, and what it is asked. */
#include "nats/js.h"

#include "check.h"

static struct kb_nats_answer read_answer(const char *payload, const char *status)
{
	struct kb_buf properties = {0};
	if (status)
		kb_headers_add(&properties, KB_SLICE_LITERAL("status"), kb_slice_from(status));
	struct kb_nats_answer answer = kb_nats_answer_read(kb_slice_from(payload), kb_buf_slice(&properties));
	kb_buf_free(&properties);
	return answer;
}

static void answers(void)
{
	static const char refused[] =
		"{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"wrong last sequence: 7\"}}";
	struct kb_nats_answer a = read_answer("{\"stream\":\"S\",\"seq\":12}", NULL);
	CHECK(a.good && a.what[0] == '\0');
	a = read_answer(refused, NULL);
	CHECK(!a.good && a.lasting);
	CHECK_TEXT(a.what, "wrong last sequence: 7 (code 400, error 10071)");
	a = read_answer("{\"error\":{\"code\":503,\"description\":\"no leader\"}}", NULL);
	CHECK(!a.good && !a.lasting);
	a = read_answer("", "503");
	CHECK(!a.good && !a.lasting);
	CHECK_CONTAINS(a.what, "nobody takes it");
	static const char *const foreign[] = {"", "hello %s", "[1]", "7", "{\"error\":", "null"};
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
		a = read_answer(foreign[i], NULL);
		CHECK(!a.good && a.lasting);
	}
	CHECK(read_answer("{\"error\":7}", NULL).good); /* says nothing of an error */
}

/* All of these may succeed later, though their codes are those of mistakes. */
static void refusals_that_pass(void)
{
	static const char *const passing[] = {
		"{\"error\":{\"code\":400,\"err_code\":10002,\"description\":\"resource limits exceeded for account\"}}",
		"{\"error\":{\"code\":409,\"err_code\":10158,\"description\":\"duplicate message id is in process\"}}",
		"{\"error\":{\"code\":429,\"err_code\":10167,\"description\":\"too many requests\"}}"};
	for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
		struct kb_nats_answer a = read_answer(passing[i], NULL);
		CHECK(!a.good && !a.lasting);
	}
}

static struct kb_nats_answer read_stored(const char *payload)
{
	return kb_nats_stored_answer_read(kb_slice_from(payload), kb_slice(NULL, 0));
}

/* An application that answers on the subject stores nothing. */
static void only_streams_acknowledge(void)
{
	CHECK(read_stored("{\"stream\":\"S\", \"seq\":12}").good);
	CHECK(read_stored("{\"stream\":\"S\",\"seq\":12,\"domain\":\"hub\",\"duplicate\":true}").good);
	static const char *const foreign[] = {"{\"ok\":true}", "{}", "{\"stream\":7}", "[\"stream\"]", "+OK"};
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
		struct kb_nats_answer a = read_stored(foreign[i]);
		CHECK(!a.good && a.lasting);
		CHECK_CONTAINS(a.what, "not that of a stream");
	}
}

/* Servers up to 2.10 answer so for a copy that comes while a cluster is still storing the first. */
static void a_duplicate_without_a_sequence_is_not_known_to_be_stored(void)
{
	static const char *const unknown[] = {"{\"stream\":\"S\",\"seq\":0,\"duplicate\":true}",
		"{\"stream\":\"S\", \"seq\":0,\"duplicate\": true}", "{\"stream\":\"S\",\"seq\":0}",
		"{\"stream\":\"S\",\"duplicate\":true}"};
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		struct kb_nats_answer a = read_stored(unknown[i]);
		CHECK(!a.good && !a.lasting && !a.foreign);
		CHECK_CONTAINS(a.what, "does not say that it has stored it");
	}
}

static void streams(void)
{
	CHECK(kb_nats_no_stream(KB_SLICE_LITERAL("{\"total\":0,\"streams\":null}"), kb_slice(NULL, 0)));
	CHECK(kb_nats_no_stream(KB_SLICE_LITERAL("{\"total\":0,\"streams\":[]}"), kb_slice(NULL, 0)));
	CHECK(!kb_nats_no_stream(KB_SLICE_LITERAL("{\"total\":1,\"streams\":[\"S\"]}"), kb_slice(NULL, 0)));
	CHECK(!kb_nats_no_stream(KB_SLICE_LITERAL("{\"error\":{\"code\":503}}"), kb_slice(NULL, 0)));
	CHECK(!kb_nats_no_stream(kb_slice(NULL, 0), kb_slice(NULL, 0)));
}

static bool stored(const char *subject, struct kb_nats_stored *s)
{
	return kb_nats_stored_read(kb_slice_from(subject), s);
}

static void origins(void)
{
	struct kb_nats_stored s;
	CHECK(stored("$JS.ACK.ORDERS.c1.2.345.67.1700000000000000000.89", &s));
	CHECK(kb_slice_equal(s.stream, KB_SLICE_LITERAL("ORDERS")) && kb_slice_equal(s.consumer, KB_SLICE_LITERAL("c1")));
	CHECK(s.delivered == 2 && s.sequence == 345 && s.pending == 89);
	CHECK(stored("$JS.ACK.hub.hash.ORDERS.c1.1.5.6.1700000000000000000.7.token", &s));
	CHECK(kb_slice_equal(s.stream, KB_SLICE_LITERAL("ORDERS")) && s.sequence == 5 && s.pending == 7);
	static const char *const no[] = {"", "reply", "$JS.ACK", "$JS.ACK.a.b.1.2.3.4", "$JS.ACK.a.b.1.2.3.4.5.6",
		"$JS.API.a.b.1.2.3.4.5", "$JS.ACK.a.b.0.2.3.4.5", "$JS.ACK.a.b.x.2.3.4.5", "........", "a.b.c.d.e.f.g.h.i"};
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		CHECK(!stored(no[i], &s));
}

static void check_said(struct kb_buf *out, const char *wanted)
{
	kb_buf_append_byte(out, '\0');
	CHECK_TEXT(out->p, wanted);
	kb_buf_clear(out);
}

static void requests(void)
{
	struct kb_buf out = {0};
	struct kb_slice inbox = KB_SLICE_LITERAL("in"), ack = KB_SLICE_LITERAL("ack.here");
	struct kb_durable durable = {.stream = "S", .name = "D"};
	kb_nats_put_durable_query(&out, &durable, inbox);
	check_said(&out, "PUB $JS.API.CONSUMER.INFO.S.D in 0\r\n\r\n");
	kb_nats_put_durable(&out, &durable, kb_slice(NULL, 0), inbox);
	check_said(&out,
		"PUB $JS.API.CONSUMER.DURABLE.CREATE.S.D in 73\r\n{\"stream_name\":\"S\",\"config\":{\"ack_policy\":"
		"\"explicit\",\"durable_name\":\"D\"}}\r\n");
	kb_nats_put_durable(&out, &durable, KB_SLICE_LITERAL("\"no object\""), inbox); /* a server may say anything */
	check_said(&out,
		"PUB $JS.API.CONSUMER.DURABLE.CREATE.S.D in 73\r\n{\"stream_name\":\"S\",\"config\":{\"ack_policy\":"
		"\"explicit\",\"durable_name\":\"D\"}}\r\n");
	kb_nats_put_pull(&out, &durable, inbox, 5, 30000, 0);
	check_said(&out, "PUB $JS.API.CONSUMER.MSG.NEXT.S.D in 33\r\n{\"batch\":5,\"expires\":30000000000}\r\n");
	kb_nats_put_streams_query(&out, KB_SLICE_LITERAL("a\"b"), inbox);
	check_said(&out, "PUB $JS.API.STREAM.NAMES in 18\r\n{\"subject\":\"a\\\"b\"}\r\n");
	kb_nats_put_verdict(&out, ack, KB_DONE, 0);
	kb_nats_put_verdict(&out, ack, KB_REJECTED, 7);
	kb_nats_put_verdict(&out, ack, KB_REQUEUE, 0);
	check_said(&out, "PUB ack.here 4\r\n+ACK\r\nPUB ack.here 5\r\n+TERM\r\nPUB ack.here 4\r\n-NAK\r\n");
	kb_nats_put_verdict(&out, ack, KB_REQUEUE, 250);
	check_said(&out, "PUB ack.here 24\r\n-NAK {\"delay\":250000000}\r\n");
	kb_nats_put_progress(&out, ack);
	check_said(&out, "PUB ack.here 4\r\n+WPI\r\n");
	kb_buf_free(&out);
}

/* Of a consumer that is there, only what is said is changed. */
static void changes(void)
{
	static const char config[] =
		"{\"durable_name\":\"D\",\"ack_wait\":7000000000,\"max_deliver\":5,\"description\":\"x\"}";
	struct kb_durable silent = {.stream = "S", .name = "D"}, same = silent, other = silent;
	struct kb_buf out = {0};
	same.ack_wait_ms = 7000;
	same.max_deliver = 5;
	other.ack_wait_ms = 7000;
	other.max_ack_pending = 10;
	CHECK(!kb_nats_durable_differs(&silent, kb_slice_from(config)));
	CHECK(!kb_nats_durable_differs(&same, kb_slice_from(config)));
	CHECK(kb_nats_durable_differs(&other, kb_slice_from(config)));
	kb_nats_put_durable(&out, &other, kb_slice_from(config), KB_SLICE_LITERAL("in"));
	kb_buf_append_byte(&out, '\0');
	CHECK_CONTAINS(out.p,
		"{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"D\",\"max_deliver\":5,\"description\":\"x\","
		"\"ack_wait\":7000000000,\"max_ack_pending\":10}}");
	kb_buf_free(&out);
}

int main(void)
{
	changes();
	answers();
	refusals_that_pass();
	only_streams_acknowledge();
	a_duplicate_without_a_sequence_is_not_known_to_be_stored();
	streams();
	origins();
	requests();
	return check_failures ? 1 : 0;
}
