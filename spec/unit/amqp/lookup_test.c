/* amqp/lookup: asking a broker whether it has an exchange. */
#include "scene.h"

enum { CHANNEL = SCENE_CHANNELS - KB_AMQP_REQUEST_CHANNELS };

static void ask(struct scene *s, const char *exchange)
{
	CHECK(kb_amqp.publish->look_up_exchange(s->b, kb_slice_from(exchange)) == KB_BROKER_OK);
}

static void an_exchange_that_is_there_is_found(void)
{
	struct scene s;
	begin(&s);
	ask(&s, "x");
	CHECK_TEXT(heard(&s), "24 CHANNEL_OPEN\n24 EXCHANGE_DECLARE x passive\n");
	say(&s, CHANNEL, CHANNEL_OPEN_OK, (amqp_channel_open_ok_t){{0, NULL}});
	say(&s, CHANNEL, EXCHANGE_DECLARE_OK, (amqp_exchange_declare_ok_t){0});
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "exchange there -\n");
	ask(&s, "y");
	CHECK_TEXT(heard(&s), "24 EXCHANGE_DECLARE y passive\n");
	end(&s);
}

/* Missing or refused: the channel is gone with the result, and the next lookup opens it again. */
static void test_closed(uint16_t code, const char *expected)
{
	struct scene s;
	begin(&s);
	ask(&s, "x");
	heard(&s);
	say_channel_close(&s, CHANNEL, code, "why");
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), expected);
	CHECK_TEXT(heard(&s), "24 CHANNEL_CLOSE_OK\n");
	ask(&s, "x");
	CHECK_TEXT(heard(&s), "24 CHANNEL_OPEN\n24 EXCHANGE_DECLARE x passive\n");
	end(&s);
}

/* Messages, requests and deliveries go on. */
static void it_costs_no_other_channel(void)
{
	struct scene s;
	begin(&s);
	CHECK(publish(&s, "m", 0) == 1);
	publish(&s, "r", KB_EXPIRES);
	ask(&s, "x");
	say_channel_close(&s, CHANNEL, 404, "why");
	say_delivery(&s, SCENE_FIRST, 1, "k");
	say_content(&s, SCENE_FIRST, NULL, "");
	say(&s, 1, BASIC_ACK, (amqp_basic_ack_t){.delivery_tag = 1});
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "exchange missing 404 why\ndelivered 0: k \"\"\nsettled 1\n");
	end(&s);
}

static void a_result_of_no_lookup_is_not_told(void)
{
	struct scene s;
	begin(&s);
	ask(&s, "x");
	say(&s, CHANNEL, EXCHANGE_DECLARE_OK, (amqp_exchange_declare_ok_t){0});
	say(&s, CHANNEL, EXCHANGE_DECLARE_OK, (amqp_exchange_declare_ok_t){0});
	say_channel_close(&s, CHANNEL, 404, "why");
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "exchange there -\n");
	end(&s);
}

/* Requests have the channels above the subscriptions' first. */
static void without_a_channel_left_nothing_is_looked_up(void)
{
	struct scene s;
	begin(&s);
	amqp_tune_connection(s.b->link.connection, SCENE_SECOND + KB_AMQP_REQUEST_CHANNELS, SCENE_FRAME_MAX, 0);
	CHECK(kb_amqp.publish->look_up_exchange(s.b, KB_SLICE_LITERAL("x")) == KB_BROKER_INVALID);
	CHECK_TEXT(heard(&s), "");
	amqp_tune_connection(s.b->link.connection, SCENE_SECOND + KB_AMQP_REQUEST_CHANNELS + 1, SCENE_FRAME_MAX, 0);
	ask(&s, "x");
	CHECK_TEXT(heard(&s), "4 CHANNEL_OPEN\n4 EXCHANGE_DECLARE x passive\n");
	end(&s);
}

static void without_a_connection_nothing_is_looked_up(void)
{
	struct scene s;
	begin(&s);
	shutdown(s.peer, SHUT_WR);
	CHECK(process(&s) == KB_BROKER_LOST);
	CHECK(kb_amqp.publish->look_up_exchange(s.b, KB_SLICE_LITERAL("x")) == KB_BROKER_LOST);
	end(&s);
}

int main(void)
{
	kb_log_set_sink(scene_no_log);
	an_exchange_that_is_there_is_found();
	test_closed(404, "exchange missing 404 why\n");
	test_closed(403, "exchange there 403 why\n");
	it_costs_no_other_channel();
	a_result_of_no_lookup_is_not_told();
	without_a_channel_left_nothing_is_looked_up();
	without_a_connection_nothing_is_looked_up();
	return check_failures != 0;
}
