/* amqp/subscriptions: what ends one, how it starts again, and how many messages wait for it. */
#include "scene.h"

/* The answers to all steps of starting the first one. */
static void say_started(struct scene *s, uint32_t waiting)
{
	say(s, SCENE_FIRST, CHANNEL_OPEN_OK, (amqp_channel_open_ok_t){{0, NULL}});
	say(s, SCENE_FIRST, QUEUE_DECLARE_OK,
		(amqp_queue_declare_ok_t){.queue = amqp_cstring_bytes("q"), .message_count = waiting});
	say(s, SCENE_FIRST, BASIC_CONSUME_OK, (amqp_basic_consume_ok_t){.consumer_tag = amqp_cstring_bytes("tag")});
}

static const char started[] = "2 CHANNEL_OPEN\n2 QUEUE_DECLARE q\n2 BASIC_CONSUME\n";

static void deliver(struct scene *s, const char *key)
{
	say_delivery(s, SCENE_FIRST, 1, key);
	say_content(s, SCENE_FIRST, NULL, "");
}

/* What was said is for the steps of starting again: nothing is read before. */
static void retry(struct scene *s)
{
	send_said(s);
	CHECK(kb_amqp.process(s->b, 0) == KB_BROKER_OK);
}

/* Until its pause is over it does not start again, nor while the broker has not closed the channel. */
static void expect_restart(struct scene *s)
{
	struct kb_amqp_subscription *sub = &s->b->subscriptions[0];
	CHECK(process(s) == KB_BROKER_OK);
	CHECK_TEXT(heard(s), "");
	CHECK(sub->retry_at);
	sub->retry_at = 1;
	say_started(s, 4);
	retry(s);
	CHECK_TEXT(heard(s), started);
	CHECK_TEXT(told(s), "active 0: 4 waiting\n");
	CHECK(!sub->retry_at && sub->generation && sub->generation != 1001);
	deliver(s, "new");
	process(s);
	CHECK_TEXT(told(s), "delivered 0: new \"\"\n");
}

static void one_whose_channel_is_closed_starts_again(void)
{
	struct scene s;
	begin(&s);
	say_delivery(&s, SCENE_FIRST, 1, "cut short");
	say_channel_close(&s, SCENE_FIRST, 406, "unknown delivery tag");
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "ended 0: 406 unknown delivery tag\n");
	CHECK_TEXT(heard(&s), "2 CHANNEL_CLOSE_OK\n");
	expect_restart(&s);
	end(&s);
}

/* What the broker sends before it reads our close is discarded. */
static void one_that_is_cancelled_starts_again_when_its_channel_is_closed(void)
{
	struct scene s;
	begin(&s);
	say(&s, SCENE_FIRST, BASIC_CANCEL, (amqp_basic_cancel_t){.consumer_tag = amqp_cstring_bytes("tag")});
	deliver(&s, "late");
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "ended 0: cancelled by the broker\n");
	CHECK_TEXT(heard(&s), "2 CHANNEL_CLOSE\n");
	CHECK(s.b->subscriptions[0].closing);
	s.b->subscriptions[0].retry_at = 1;
	process(&s);
	CHECK_TEXT(heard(&s), "");
	say(&s, SCENE_FIRST, CHANNEL_CLOSE_OK, (amqp_channel_close_ok_t){0});
	s.b->subscriptions[0].retry_at = INT64_MAX;
	expect_restart(&s);
	end(&s);
}

static void one_that_is_refused_waits_longer_each_time(void)
{
	struct scene s;
	begin(&s);
	say_channel_close(&s, SCENE_FIRST, 404, "gone");
	process(&s);
	told(&s), heard(&s);
	const int pauses[] = {2000, 4000, 8000, 16000, 32000, 60000, 60000};
	for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
		s.b->subscriptions[0].retry_at = 1;
		say(&s, SCENE_FIRST, CHANNEL_OPEN_OK, (amqp_channel_open_ok_t){{0, NULL}});
		say_channel_close(&s, SCENE_FIRST, 403, "no");
		retry(&s);
		CHECK_TEXT(told(&s), "ended 0: declaring queue \"q\": 403 no\n");
		CHECK_TEXT(heard(&s), "2 CHANNEL_OPEN\n2 QUEUE_DECLARE q\n2 CHANNEL_CLOSE_OK\n");
		CHECK(s.b->subscriptions[0].pause_ms == pauses[i]);
	}
	expect_restart(&s);
	CHECK(s.b->subscriptions[0].pause_ms == 0);
	end(&s);
}

/* Over something that the broker closes the connection for, such as an unknown type of exchange: the others get a
 * connection on which it is not tried. */
static void one_that_costs_the_connection_stays_out_of_the_next(void)
{
	struct scene s;
	begin(&s);
	const struct kb_subscription *config = s.b->subscriptions[0].s;
	say(&s, SCENE_FIRST, CHANNEL_OPEN_OK, (amqp_channel_open_ok_t){{0, NULL}});
	say(&s, 0, CONNECTION_CLOSE,
		(amqp_connection_close_t){.reply_code = 503, .reply_text = amqp_cstring_bytes("unknown type")});
	send_said(&s);
	CHECK(kb_amqp.consume->subscribe(s.b, config, 0) == KB_BROKER_LOST);
	CHECK(s.b->subscriptions[0].offence.pause_ms == 30000 && s.b->failover.once_more);
	CHECK_TEXT(heard(&s), "2 CHANNEL_OPEN\n2 QUEUE_DECLARE q\n0 CONNECTION_CLOSE_OK\n");
	close(s.peer);
	kb_amqp_subscriptions_clear(s.b);
	scene_connect(&s);
	CHECK(kb_amqp.consume->subscribe(s.b, config, 0) == KB_BROKER_INVALID);
	CHECK_TEXT(heard(&s), "");
	CHECK_TEXT(told(&s), "ended 0: declaring queue \"q\": 503 unknown type\n");
	expect_restart(&s);
	CHECK(!s.b->subscriptions[0].offence.until);
	end(&s);
}

/* To open it would cost the connection. */
static void one_without_a_channel_is_refused_before_the_broker_is_asked(void)
{
	struct scene s;
	begin(&s);
	amqp_tune_connection(s.b->link.connection, SCENE_FIRST, SCENE_FRAME_MAX, 0);
	CHECK(kb_amqp.consume->subscribe(s.b, s.b->subscriptions[1].s, 1) == KB_BROKER_INVALID);
	CHECK_TEXT(heard(&s), "");
	CHECK_TEXT(told(&s), "ended 1: the connection may have 2 channels only\n");
	CHECK(s.b->subscriptions[1].pause_ms == 2000 && s.b->link.connection);
	end(&s);
}

static void one_that_starts_says_how_many_wait(void)
{
	struct scene s;
	begin(&s);
	say_started(&s, 3);
	send_said(&s);
	CHECK(kb_amqp.consume->subscribe(s.b, s.b->subscriptions[0].s, 0) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "active 0: 3 waiting\n");
	CHECK_TEXT(heard(&s), started);
	end(&s);
}

static void messages_that_wait_are_counted_once_at_a_time(void)
{
	struct scene s;
	begin(&s);
	kb_amqp.consume->count(s.b, 0);
	kb_amqp.consume->count(s.b, 0);
	kb_amqp.consume->count(s.b, 8);
	CHECK_TEXT(heard(&s), "2 QUEUE_DECLARE q passive\n");
	say(&s, SCENE_FIRST, QUEUE_DECLARE_OK, (amqp_queue_declare_ok_t){.message_count = 12});
	say(&s, SCENE_FIRST, QUEUE_DECLARE_OK, (amqp_queue_declare_ok_t){.message_count = 13}); /* of no count of ours */
	process(&s);
	CHECK_TEXT(told(&s), "counted 0: 12\n");
	kb_amqp.consume->count(s.b, 0);
	CHECK_TEXT(heard(&s), "2 QUEUE_DECLARE q passive\n");
	end(&s);
}

/* The count comes behind the end of the subscription. */
static void a_count_ends_with_its_subscription(void)
{
	struct scene s;
	begin(&s);
	kb_amqp.consume->count(s.b, 0);
	say(&s, SCENE_FIRST, BASIC_CANCEL, (amqp_basic_cancel_t){.consumer_tag = amqp_cstring_bytes("tag")});
	say(&s, SCENE_FIRST, QUEUE_DECLARE_OK, (amqp_queue_declare_ok_t){.message_count = 12});
	process(&s);
	CHECK_TEXT(told(&s), "ended 0: cancelled by the broker\n");
	heard(&s);
	kb_amqp.consume->count(s.b, 0);
	CHECK_TEXT(heard(&s), "");
	end(&s);
}

int main(void)
{
	kb_log_set_sink(scene_no_log);
	one_whose_channel_is_closed_starts_again();
	one_that_is_cancelled_starts_again_when_its_channel_is_closed();
	one_that_is_refused_waits_longer_each_time();
	one_that_costs_the_connection_stays_out_of_the_next();
	one_without_a_channel_is_refused_before_the_broker_is_asked();
	one_that_starts_says_how_many_wait();
	messages_that_wait_are_counted_once_at_a_time();
	a_count_ends_with_its_subscription();
	return check_failures != 0;
}
