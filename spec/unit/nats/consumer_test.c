/* nats/consumer: requests for consumers and their messages, and how these are acknowledged. */
#include "nats/consumer.h"

#include "check.h"

static bool read(const char *subject, struct kb_nats_consumer_delivery *s)
{
	return kb_nats_consumer_delivery_read(kb_slice_from(subject), s);
}

static void deliveries(void)
{
	struct kb_nats_consumer_delivery s;
	CHECK(read("$JS.ACK.ORDERS.c1.2.345.67.1700000000000000000.89", &s));
	CHECK(kb_slice_equal(s.stream, KB_SLICE_LITERAL("ORDERS")) && kb_slice_equal(s.consumer, KB_SLICE_LITERAL("c1")));
	CHECK(s.delivered == 2 && s.sequence == 345 && s.pending == 89);
	CHECK(read("$JS.ACK.hub.hash.ORDERS.c1.1.5.6.1700000000000000000.7.token", &s));
	CHECK(kb_slice_equal(s.stream, KB_SLICE_LITERAL("ORDERS")) && s.sequence == 5 && s.pending == 7);
	static const char *const no[] = {"", "reply", "$JS.ACK", "$JS.ACK.a.b.1.2.3.4", "$JS.ACK.a.b.1.2.3.4.5.6",
		"$JS.API.a.b.1.2.3.4.5", "$JS.ACK.a.b.0.2.3.4.5", "$JS.ACK.a.b.x.2.3.4.5", "........", "a.b.c.d.e.f.g.h.i"};
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		CHECK(!read(no[i], &s));
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
	kb_nats_consumer_put_info(&out, &durable, inbox);
	check_said(&out, "PUB $JS.API.CONSUMER.INFO.S.D in 0\r\n\r\n");
	kb_nats_consumer_put_create(&out, &durable, kb_slice(NULL, 0), inbox);
	check_said(&out,
		"PUB $JS.API.CONSUMER.DURABLE.CREATE.S.D in 73\r\n{\"stream_name\":\"S\",\"config\":{\"ack_policy\":"
		"\"explicit\",\"durable_name\":\"D\"}}\r\n");
	kb_nats_consumer_put_create(
		&out, &durable, KB_SLICE_LITERAL("\"no object\""), inbox); /* a server may say anything */
	check_said(&out,
		"PUB $JS.API.CONSUMER.DURABLE.CREATE.S.D in 73\r\n{\"stream_name\":\"S\",\"config\":{\"ack_policy\":"
		"\"explicit\",\"durable_name\":\"D\"}}\r\n");
	kb_nats_consumer_put_pull(&out, &durable, inbox, 5, 30000, 0);
	check_said(&out, "PUB $JS.API.CONSUMER.MSG.NEXT.S.D in 33\r\n{\"batch\":5,\"expires\":30000000000}\r\n");
	kb_nats_consumer_put_verdict(&out, ack, KB_DONE, 0);
	kb_nats_consumer_put_verdict(&out, ack, KB_REJECTED, 7);
	kb_nats_consumer_put_verdict(&out, ack, KB_REQUEUE, 0);
	check_said(&out, "PUB ack.here 4\r\n+ACK\r\nPUB ack.here 5\r\n+TERM\r\nPUB ack.here 4\r\n-NAK\r\n");
	kb_nats_consumer_put_verdict(&out, ack, KB_REQUEUE, 250);
	check_said(&out, "PUB ack.here 24\r\n-NAK {\"delay\":250000000}\r\n");
	kb_nats_consumer_put_progress(&out, ack);
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
	CHECK(!kb_nats_consumer_differs(&silent, kb_slice_from(config)));
	CHECK(!kb_nats_consumer_differs(&same, kb_slice_from(config)));
	CHECK(kb_nats_consumer_differs(&other, kb_slice_from(config)));
	kb_nats_consumer_put_create(&out, &other, kb_slice_from(config), KB_SLICE_LITERAL("in"));
	kb_buf_append_byte(&out, '\0');
	CHECK_CONTAINS(out.p,
		"{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"D\",\"max_deliver\":5,\"description\":\"x\","
		"\"ack_wait\":7000000000,\"max_ack_pending\":10}}");
	kb_buf_free(&out);
}

int main(void)
{
	changes();
	deliveries();
	requests();
	return check_failures ? 1 : 0;
}
