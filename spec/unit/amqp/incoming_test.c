/* amqp/incoming: deliveries as a broker sends them, frame by frame, and what it says of the connection. */
#include "scene.h"

static void a_delivery_is_handed_over_and_acknowledged(void)
{
	struct scene s;
	begin(&s);
	say_delivery(&s, SCENE_FIRST, 5, "key");
	say_content(&s, SCENE_FIRST, NULL, "{}");
	say(&s, SCENE_SECOND, BASIC_DELIVER,
		(amqp_basic_deliver_t){.delivery_tag = 6, .redelivered = true, .routing_key = amqp_cstring_bytes("other")});
	say_content_in(&s, SCENE_SECOND, NULL, "in pieces", 4);
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "delivered 0: key \"{}\"\ndelivered 1: other \"in pieces\" again\n");
	CHECK_TEXT(heard(&s), "2 BASIC_ACK 5\n3 BASIC_ACK 6\n"); /* the loop of the test acknowledges all */
	end(&s);
}

static void channels_take_turns_with_their_frames(void)
{
	struct scene s;
	begin(&s);
	say_delivery(&s, SCENE_FIRST, 1, "a");
	say_delivery(&s, SCENE_SECOND, 1, "b");
	say_content(&s, SCENE_SECOND, NULL, "second");
	say_content(&s, SCENE_FIRST, NULL, "first");
	process(&s);
	CHECK_TEXT(told(&s), "delivered 1: b \"second\"\ndelivered 0: a \"first\"\n");
	end(&s);
}

/* The channel is closed, or not a subscription's: there is nobody to acknowledge to. */
static void a_delivery_on_a_stale_channel_is_discarded(amqp_channel_t channel)
{
	struct scene s;
	begin(&s);
	s.b->subscriptions[0].generation = 0;
	say_delivery(&s, channel, 1, "a");
	say_content(&s, channel, NULL, "far longer than message_max allows");
	say_delivery(&s, SCENE_SECOND, 1, "b");
	say_content(&s, SCENE_SECOND, NULL, "{}");
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "delivered 1: b \"{}\"\n");
	CHECK_TEXT(heard(&s), "3 BASIC_ACK 1\n");
	end(&s);
}

/* An origin of an earlier channel is not acknowledged on the next one. */
static void a_stale_origin_is_not_settled(void)
{
	struct scene s;
	begin(&s);
	struct kb_origin stale = {.tag = 3, .generation = 1000}, now = {.tag = 3, .generation = 1001},
					 beyond = {.tag = 3, .subscription = 9, .generation = 1001};
	CHECK(kb_amqp.consume->settle(s.b, &stale, KB_DONE) == KB_BROKER_OK);
	CHECK(kb_amqp.consume->settle(s.b, &beyond, KB_DONE) == KB_BROKER_OK);
	CHECK_TEXT(heard(&s), "");
	CHECK(kb_amqp.consume->settle(s.b, &now, KB_REQUEUE) == KB_BROKER_OK);
	CHECK(kb_amqp.consume->settle(s.b, &now, KB_REJECTED) == KB_BROKER_OK);
	CHECK_TEXT(heard(&s), "2 BASIC_REJECT 3 requeue\n2 BASIC_REJECT 3\n");
	end(&s);
}

static void a_content_that_is_too_large_is_rejected_unread(void)
{
	struct scene s;
	begin(&s);
	say_delivery(&s, SCENE_FIRST, 1, "a");
	say_content_in(&s, SCENE_FIRST, NULL, "seventeen bytes..", 10);
	say_delivery(&s, SCENE_SECOND, 1, "b"); /* which wants no acknowledgements */
	say_content(&s, SCENE_SECOND, NULL, "seventeen bytes..");
	say_delivery(&s, SCENE_FIRST, 2, "c");
	say_content(&s, SCENE_FIRST, NULL, "sixteen bytes...");
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "too large: a 17\ntoo large: b 17\ndelivered 0: c \"sixteen bytes...\"\n");
	CHECK_TEXT(heard(&s), "2 BASIC_REJECT 1\n2 BASIC_ACK 2\n");
	end(&s);
}

static void what_finds_no_room_is_held_and_offered_again(void)
{
	struct scene s;
	begin(&s);
	s.full = true;
	say_delivery(&s, SCENE_FIRST, 1, "a");
	say_content_in(&s, SCENE_FIRST, NULL, "in pieces", 4);
	say_delivery(&s, SCENE_FIRST, 2, "b");
	say_content(&s, SCENE_FIRST, NULL, "{}");
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "no room for 0: a \"in pieces\"\n");
	CHECK(kb_amqp.poll_events(s.b) == 0 && kb_amqp.poll_fd(s.b) < 0);
	process(&s);
	CHECK_TEXT(told(&s), "no room for 0: a \"in pieces\"\n");
	s.full = false;
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "delivered 0: a \"in pieces\"\ndelivered 0: b \"{}\"\n");
	CHECK_TEXT(heard(&s), "2 BASIC_ACK 1\n2 BASIC_ACK 2\n");
	end(&s);
}

static void the_broker_blocks_and_unblocks(void)
{
	struct scene s;
	begin(&s);
	say(&s, 0, CONNECTION_BLOCKED, (amqp_connection_blocked_t){.reason = amqp_cstring_bytes("low on memory")});
	say(&s, 0, CONNECTION_UNBLOCKED, (amqp_connection_unblocked_t){0});
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "blocked low on memory\nunblocked -\n");
	end(&s);
}

/* The library keeps a frame until the content of its channel ends. */
static void contents_that_never_end_cost_the_connection(void)
{
	struct scene s;
	begin(&s);
	for (int i = 0; i <= KB_AMQP_USELESS_MAX; i++)
		say_delivery(&s, SCENE_FIRST, 1, "a");
	CHECK(process(&s) == KB_BROKER_OK);
	say_delivery(&s, SCENE_FIRST, 1, "a");
	CHECK(process(&s) == KB_BROKER_LOST);
	CHECK_TEXT(told(&s), "");
	end(&s);
}

static void a_channel_that_nobody_uses_may_be_closed(void)
{
	struct scene s;
	begin(&s);
	say_channel_close(&s, 9, 504, "why");
	CHECK(process(&s) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "");
	CHECK_TEXT(heard(&s), "9 CHANNEL_CLOSE_OK\n");
	end(&s);
}

static void no_more_contents_than_asked_for(void)
{
	struct scene s;
	begin(&s);
	for (uint64_t tag = 1; tag <= 3; tag++) {
		say_delivery(&s, SCENE_SECOND, tag, "a");
		say_content(&s, SCENE_SECOND, NULL, "");
	}
	send_said(&s);
	CHECK(kb_amqp.process(s.b, 0) == KB_BROKER_AGAIN || !*told(&s));
	CHECK(kb_amqp.process(s.b, 2) == KB_BROKER_AGAIN);
	CHECK_TEXT(told(&s), "delivered 1: a \"\"\ndelivered 1: a \"\"\n");
	CHECK(kb_amqp.process(s.b, 2) == KB_BROKER_OK);
	CHECK_TEXT(told(&s), "delivered 1: a \"\"\n");
	end(&s);
}

static void a_peer_that_goes_away_is_noticed(void)
{
	struct scene s;
	begin(&s);
	shutdown(s.peer, SHUT_WR);
	CHECK(process(&s) == KB_BROKER_LOST);
	CHECK(kb_amqp.publish->publish(s.b, &(struct kb_message){0}, &(uint64_t){0}) == KB_BROKER_LOST);
	CHECK(kb_amqp.consume->settle(s.b, &(struct kb_origin){.generation = 1001}, KB_DONE) == KB_BROKER_LOST);
	end(&s);
}

int main(void)
{
	kb_log_set_sink(scene_no_log);
	a_delivery_is_handed_over_and_acknowledged();
	channels_take_turns_with_their_frames();
	a_delivery_on_a_stale_channel_is_discarded(SCENE_FIRST);
	a_delivery_on_a_stale_channel_is_discarded(9);
	a_stale_origin_is_not_settled();
	a_content_that_is_too_large_is_rejected_unread();
	what_finds_no_room_is_held_and_offered_again();
	the_broker_blocks_and_unblocks();
	contents_that_never_end_cost_the_connection();
	a_channel_that_nobody_uses_may_be_closed();
	no_more_contents_than_asked_for();
	a_peer_that_goes_away_is_noticed();
	return check_failures != 0;
}
