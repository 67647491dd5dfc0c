/* bus/requester over AMQP: which reply is that of a request, and what else may become of the request. */
#include "requester_scene.h"

static void test_reply(const char *payload, const char *correlation, enum kb_reply_state expected)
{
	struct kb_slice reply;
	begin();
	request("the id", "");
	fake.reply = payload;
	fake.correlation = correlation;
	run();
	CHECK(kb_reply_poll(replies, 0, &reply) == expected);
	if (expected == KB_REPLY_RECEIVED)
		CHECK_TEXT(text_of(reply), payload);
}

static void test_too_large(const char *correlation, size_t bytes, enum kb_reply_state expected)
{
	begin();
	request("the id", "");
	fake.correlation = correlation;
	fake.too_large = bytes;
	run();
	CHECK(outcome() == expected);
}

static void test_unroutable(const char *correlation, const char *exchange, enum kb_reply_state expected)
{
	begin();
	request("the id", exchange);
	fake.correlation = correlation;
	fake.returns = true;
	run();
	CHECK(outcome() == expected);
}

/* No process needs to wait for a request that is never sent; the last correlation-id is that of the request. */
static void test_unsendable(void)
{
	struct kb_buf properties = {0};
	begin();
	request("the id", "");
	fake.invalid = true;
	kb_headers_add(&properties, KB_SLICE_LITERAL("correlation-id"), KB_SLICE_LITERAL("of the configuration"));
	kb_headers_add(&properties, KB_SLICE_LITERAL("correlation-id"), KB_SLICE_LITERAL("the id"));
	outbox = kb_outbox_create(1, 65536, 1);
	CHECK(
		kb_outbox_put(outbox, 0, &(struct kb_message){.properties = kb_buf_slice(&properties)}) == KB_OUTBOX_ACCEPTED);
	run_with_outbox();
	CHECK(outcome() == KB_REPLY_UNROUTABLE);
	kb_buf_free(&properties);
}

/* Counted on the connection, and no reply is counted twice. */
static void test_unmatched(const char *payload, const char *correlation, uint64_t expected)
{
	struct kb_traffic *counts = kb_traffic_create(1, 1);
	traffic = kb_traffic_connection(counts, "requester", "", 0);
	begin();
	request("the id", "");
	fake.reply = payload;
	fake.correlation = correlation;
	run();
	CHECK(kb_counter_get(&traffic->unmatched) == expected);
	traffic = NULL;
	kb_traffic_destroy(counts);
}

int main(void)
{
	test_reply("{\"Msg-ID\":\"the id\"}", NULL, KB_REPLY_RECEIVED);
	test_reply("{\"no\":1}", "the id", KB_REPLY_RECEIVED);
	test_reply("{\"Msg-ID\":\"another\"}", "the id", KB_REPLY_RECEIVED);
	test_reply("{\"Msg-ID\":\"another\"}", "another", KB_REPLY_WAITING);
	test_too_large("the id", 5000, KB_REPLY_TOO_LARGE);
	test_too_large("another", 5000, KB_REPLY_WAITING);
	test_too_large(NULL, 5000, KB_REPLY_WAITING);
	test_unroutable("the id", "y", KB_REPLY_UNROUTABLE);
	test_unroutable("another", "x", KB_REPLY_WAITING);
	test_unroutable(NULL, "x", KB_REPLY_UNROUTABLE);
	test_unroutable(NULL, "y", KB_REPLY_WAITING);
	test_unsendable();
	test_unmatched("{\"Msg-ID\":\"the id\"}", "the id", 0);
	test_unmatched("{\"Msg-ID\":\"another\"}", NULL, 1);
	test_unmatched("no JSON", "another", 1);
	test_unmatched("no JSON", NULL, 1);
	return end_scene();
}
