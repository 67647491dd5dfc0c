/* amqp/requests: which channel a request goes by, and what the broker says about those that reach nobody. */
#include "scene.h"

enum { HIGHEST = SCENE_CHANNELS };

static void request(struct scene *s, const char *exchange)
{
	CHECK(publish(s, exchange, KB_EXPIRES) == 0); /* settled: the reply is its confirm */
}

static void each_exchange_has_a_channel(void)
{
	struct scene s;
	begin(&s);
	request(&s, "x"), request(&s, "y"), request(&s, "x"), request(&s, "");
	CHECK_TEXT(heard(&s), "40 CHANNEL_OPEN\n40 BASIC_PUBLISH x\n39 CHANNEL_OPEN\n39 BASIC_PUBLISH y\n"
						  "40 BASIC_PUBLISH x\n38 CHANNEL_OPEN\n38 BASIC_PUBLISH \n");
	say(&s, HIGHEST, CHANNEL_OPEN_OK, (amqp_channel_open_ok_t){{0, NULL}});
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "");
	end(&s);
}

static void request_of(struct scene *s, int number)
{
	char exchange[16];
	snprintf(exchange, sizeof exchange, "x%d", number);
	request(s, exchange);
}

static void the_channel_that_was_not_used_for_longest_is_used_again(void)
{
	struct scene s;
	begin(&s);
	for (int i = 0; i < KB_AMQP_REQUEST_CHANNELS; i++)
		request_of(&s, i);
	request_of(&s, 0); /* so that x1 is the one */
	heard(&s);
	request(&s, "new");
	CHECK_TEXT(heard(&s), "39 BASIC_PUBLISH new\n");
	request_of(&s, 0), request_of(&s, 1);
	CHECK_TEXT(heard(&s), "40 BASIC_PUBLISH x0\n38 BASIC_PUBLISH x1\n");
	end(&s);
}

static void a_refusal_ends_only_what_went_to_that_exchange(void)
{
	struct scene s;
	begin(&s);
	publish(&s, "m", 0), request(&s, "x"), request(&s, "y");
	heard(&s);
	say_channel_close(&s, HIGHEST, 404, "no exchange 'x'");
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "unroutable x \"\"\n");
	CHECK_TEXT(heard(&s), "40 CHANNEL_CLOSE_OK\n");
	request(&s, "x"), request(&s, "y");
	CHECK_TEXT(heard(&s), "40 CHANNEL_OPEN\n40 BASIC_PUBLISH x\n39 BASIC_PUBLISH y\n");
	end(&s);
}

static void say_return(struct scene *s, amqp_channel_t channel, const char *id, const char *body)
{
	say(s, channel, BASIC_RETURN, (amqp_basic_return_t){.reply_code = 312, .exchange = amqp_cstring_bytes("x")});
	say_content_in(s, channel, id, body, 20);
}

static void a_request_that_comes_back_ends_alone(void)
{
	struct scene s;
	begin(&s);
	request(&s, "y"), request(&s, "x"), request(&s, "x");
	heard(&s);
	say_return(&s, HIGHEST - 1, "the id", "{}");
	say_return(&s, HIGHEST - 1, "of one that is longer", "longer than message_max, and in pieces");
	say_return(&s, HIGHEST - 1, NULL, "{}"); /* which cannot be told from others */
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "unroutable x \"the id\"\nunroutable x \"of one that is longer\"\n");
	CHECK_TEXT(heard(&s), "");
	end(&s);
}

/* The broker closes the channel while it sends one back. */
static void a_return_that_is_cut_short_leaves_nothing(void)
{
	struct scene s;
	begin(&s);
	request(&s, "x");
	say(&s, HIGHEST, BASIC_RETURN, (amqp_basic_return_t){.reply_code = 312});
	say_channel_close(&s, HIGHEST, 404, "gone");
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "unroutable x \"\"\n");
	request(&s, "x");
	say_return(&s, HIGHEST, "id", "{}");
	process(&s);
	CHECK_TEXT(told(&s), "unroutable x \"id\"\n");
	end(&s);
}

/* Subscriptions have theirs first. */
static void a_broker_with_few_channels_has_few_for_requests(void)
{
	struct scene s;
	uint64_t sequence;
	struct kb_message m = {.exchange = KB_SLICE_LITERAL("x"), .origin = {.flags = KB_EXPIRES}};
	begin(&s);
	amqp_tune_connection(s.b->link.connection, SCENE_SECOND + 1, SCENE_FRAME_MAX, 0);
	request(&s, "x"), request(&s, "y");
	CHECK_TEXT(heard(&s), "4 CHANNEL_OPEN\n4 BASIC_PUBLISH x\n4 BASIC_PUBLISH y\n");
	amqp_tune_connection(s.b->link.connection, SCENE_SECOND, SCENE_FRAME_MAX, 0);
	CHECK(kb_amqp.publish->publish(s.b, &m, &sequence) == KB_BROKER_INVALID);
	end(&s);
}

static void a_new_connection_has_new_channels(void)
{
	struct scene s;
	begin(&s);
	request(&s, "x"), request(&s, "y");
	kb_amqp_requests_clear(s.b);
	heard(&s);
	request(&s, "y");
	CHECK_TEXT(heard(&s), "40 CHANNEL_OPEN\n40 BASIC_PUBLISH y\n");
	end(&s);
}

int main(void)
{
	kb_log_set_sink(scene_no_log);
	each_exchange_has_a_channel();
	the_channel_that_was_not_used_for_longest_is_used_again();
	a_refusal_ends_only_what_went_to_that_exchange();
	a_request_that_comes_back_ends_alone();
	a_return_that_is_cut_short_leaves_nothing();
	a_broker_with_few_channels_has_few_for_requests();
	a_new_connection_has_new_channels();
	return check_failures != 0;
}
