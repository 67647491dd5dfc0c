/* amqp/publishing: what a broker says about messages, and which of them are sent again. */
#include "scene.h"

static void publish_three(struct scene *s)
{
	begin(s);
	CHECK(publish(s, "x", 0) == 1 && publish(s, "x", 0) == 2 && publish(s, "x", 0) == 3);
	CHECK_TEXT(heard(s), "1 BASIC_PUBLISH x\n1 BASIC_PUBLISH x\n1 BASIC_PUBLISH x\n");
}

static void confirms_name_one_or_all_before(void)
{
	struct scene s;
	publish_three(&s);
	say(&s, 1, BASIC_ACK, (amqp_basic_ack_t){.delivery_tag = 2});
	say(&s, 1, BASIC_NACK, (amqp_basic_nack_t){.delivery_tag = 1});
	say(&s, 1, BASIC_ACK, (amqp_basic_ack_t){.delivery_tag = 3, .multiple = true});
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "settled 2\nsettled 1 not\nsettled 3 and before\n");
	end(&s);
}

static void a_multiple_confirm_of_tag_0_means_all(void)
{
	struct scene s;
	publish_three(&s);
	say(&s, 1, BASIC_ACK, (amqp_basic_ack_t){.multiple = true});
	process(&s);
	CHECK_TEXT(told(&s), "settled 3 and before\n");
	say(&s, 1, BASIC_ACK, (amqp_basic_ack_t){0}); /* which the protocol does not have */
	process(&s);
	CHECK_TEXT(told(&s), "settled 0\n");
	end(&s);
}

static void a_connection_that_only_consumes_takes_no_confirms(void)
{
	struct scene s;
	begin(&s);
	s.b->publishing.open = false;
	say(&s, 1, BASIC_ACK, (amqp_basic_ack_t){.delivery_tag = 1});
	say(&s, 1, BASIC_NACK, (amqp_basic_nack_t){.delivery_tag = 1});
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "");
	end(&s);
}

static void a_return_comes_with_its_content(void)
{
	struct scene s;
	publish_three(&s);
	amqp_basic_return_t r = {.reply_code = 312,
		.reply_text = amqp_cstring_bytes("NO_ROUTE"),
		.exchange = amqp_cstring_bytes("x"),
		.routing_key = amqp_cstring_bytes("k")};
	say(&s, 1, BASIC_RETURN, r);
	say_content(&s, 1, NULL, "{}");
	process(&s);
	CHECK_TEXT(told(&s), "returned x k \"{}\": 312 NO_ROUTE\n");
	say(&s, 1, BASIC_RETURN, r);
	say_content(&s, 1, NULL, "longer than message_max is");
	process(&s);
	CHECK_TEXT(told(&s), "returned x k \"\": 312 NO_ROUTE\n");
	CHECK_TEXT(heard(&s), "");
	end(&s);
}

/* The broker closes the channel over one of the messages: it is opened again, and tags begin at 1. */
static void test_channel_closed(uint16_t code, const char *expected)
{
	struct scene s;
	publish_three(&s);
	say_channel_close(&s, 1, code, "why");
	say_publish_channel_opened(&s);
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), expected);
	CHECK_TEXT(heard(&s), "1 CHANNEL_CLOSE_OK\n1 CHANNEL_OPEN\n1 CONFIRM_SELECT\n");
	CHECK(publish(&s, "x", 0) == 4);
	say(&s, 1, BASIC_ACK, (amqp_basic_ack_t){.delivery_tag = 1});
	process(&s);
	CHECK_TEXT(told(&s), "settled 4\n");
	end(&s);
}

static void a_channel_that_cannot_be_opened_again_costs_the_connection(void)
{
	struct scene s;
	publish_three(&s);
	say_channel_close(&s, 1, 404, "why");
	say_channel_close(&s, 1, 504, "no");
	CHECK(process(&s) == KB_BROKER_LOST);
	CHECK_TEXT(told(&s), "");
	CHECK(kb_amqp.process(s.b, 100) == KB_BROKER_LOST && kb_amqp.poll_fd(s.b) < 0);
	end(&s);
}

static void a_renewed_channel_takes_messages_when_it_is_open(void)
{
	struct scene s;
	struct kb_message m = {.exchange = KB_SLICE_LITERAL("x")};
	uint64_t sequence;
	publish_three(&s);
	kb_amqp.publish->renew(s.b);
	kb_amqp.publish->renew(s.b); /* the channel is being renewed already */
	CHECK_TEXT(heard(&s), "1 CHANNEL_CLOSE\n");
	CHECK(kb_amqp.publish->publish(s.b, &m, &sequence) == KB_BROKER_AGAIN);
	CHECK(publish(&s, "r", KB_EXPIRES) == 0);
	CHECK_TEXT(heard(&s), "40 CHANNEL_OPEN\n40 BASIC_PUBLISH r\n");
	say(&s, 1, BASIC_ACK, (amqp_basic_ack_t){.delivery_tag = 1}); /* said before it read the close */
	say(&s, 1, CHANNEL_CLOSE_OK, (amqp_channel_close_ok_t){0});
	say_publish_channel_opened(&s);
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "settled 1\nrequeue, renewed: -\n");
	CHECK(publish(&s, "x", 0) == 4);
	end(&s);
}

/* Which codes say that one of the open messages may be the reason. */
static void test_connection_closed(uint16_t code, const char *expected)
{
	struct scene s;
	publish_three(&s);
	say(&s, 0, CONNECTION_CLOSE,
		(amqp_connection_close_t){.reply_code = code, .reply_text = amqp_cstring_bytes("why")});
	CHECK(process(&s) == KB_BROKER_LOST);
	CHECK_TEXT(told(&s), expected);
	CHECK_TEXT(heard(&s), "0 CONNECTION_CLOSE_OK\n");
	end(&s);
}

static void what_the_protocol_has_no_room_for_is_not_sent(void)
{
	struct scene s;
	static char key[256];
	uint64_t sequence;
	memset(key, 'k', sizeof key);
	struct kb_message m = {.exchange = KB_SLICE_LITERAL("x"), .key = kb_slice(key, sizeof key)};
	begin(&s);
	CHECK(kb_amqp.publish->publish(s.b, &m, &sequence) == KB_BROKER_INVALID);
	CHECK_TEXT(heard(&s), "");
	CHECK(publish(&s, "x", 0) == 1);
	end(&s);
}

int main(void)
{
	kb_log_set_sink(scene_no_log);
	confirms_name_one_or_all_before();
	a_multiple_confirm_of_tag_0_means_all();
	a_connection_that_only_consumes_takes_no_confirms();
	a_return_comes_with_its_content();
	test_channel_closed(404, "requeue, no exchange: 404 why\n");
	test_channel_closed(403, "requeue, offended: 403 why\n");
	a_channel_that_cannot_be_opened_again_costs_the_connection();
	a_renewed_channel_takes_messages_when_it_is_open();
	test_connection_closed(320, "");
	test_connection_closed(402, "");
	test_connection_closed(501, "requeue, offended: 501 why\n");
	test_connection_closed(505, "requeue, offended: 505 why\n");
	test_connection_closed(506, "requeue, broker failed: 506 why\n");
	test_connection_closed(541, "requeue, broker failed: 541 why\n");
	what_the_protocol_has_no_room_for_is_not_sent();
	return check_failures != 0;
}
