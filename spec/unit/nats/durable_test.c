/* nats/durable: its states. */
#include "durable_scene.h"

static void it_asks_for_the_consumer_on_an_inbox_of_its_own(void)
{
	struct scene s;
	char subscription[KB_NATS_INBOX_BYTES + 20];
	begin(&s, &plain);
	CHECK(s.d.state == KB_NATS_DURABLE_CHECKING && s.d.why[0]);
	snprintf(subscription, sizeof subscription, "SUB %s.* %d\r\n", s.d.inbox, SID);
	kb_buf_append_byte(&s.out, '\0');
	CHECK_CONTAINS(s.out.p, subscription);
	CHECK_CONTAINS(s.out.p, "PUB $JS.API.CONSUMER.INFO.S.D ");
	end(&s);
}

static void one_that_is_there_is_used_as_it_is(void)
{
	struct scene s;
	begin_pulling(&s);
	CHECK(s.d.ack_wait_ms == 32000 && s.d.max_deliver == 0 && s.d.outstanding == 1);
	end(&s);
}

static void one_that_is_not_there_is_created(void)
{
	struct scene s;
	begin(&s, &plain);
	kb_buf_clear(&s.out);
	reply(&s, 'i', NO_CONSUMER);
	CHECK(s.d.state == KB_NATS_DURABLE_CREATING && !s.news && s.d.why[0]);
	CHECK(sent(&s, "PUB $JS.API.CONSUMER.DURABLE.CREATE.S.D ") == 1);
	reply(&s, 'c', CONFIG(",\"max_deliver\":7"));
	CHECK(s.d.state == KB_NATS_DURABLE_PULLING && pulls(&s, 1) && s.news && !s.d.why[0] && s.d.max_deliver == 7);
	end(&s);
}

static void one_that_differs_is_changed_once(void)
{
	static const struct kb_durable five = {.stream = "S", .name = "D", .max_deliver = 5};
	struct scene s;
	begin(&s, &five);
	kb_buf_clear(&s.out);
	reply(&s, 'i', CONFIG(",\"max_deliver\":7,\"ours\":false"));
	CHECK(s.d.state == KB_NATS_DURABLE_CREATING);
	CHECK(sent(&s, "\"ours\":false,\"max_deliver\":5") == 1);
	reply(&s, 'c', CONFIG(",\"max_deliver\":7")); /* a server that does not change it gets no second request */
	CHECK(s.d.state == KB_NATS_DURABLE_PULLING && pulls(&s, 1));
	end(&s);
}

static void a_refusal_pauses_it_and_it_begins_again(void)
{
	struct scene s;
	begin(&s, &plain);
	kb_buf_clear(&s.out);
	reply(&s, 'i', NO_STREAM);
	CHECK(s.d.state == KB_NATS_DURABLE_PAUSED && s.news && is_quiet(&s));
	CHECK_CONTAINS(s.d.why, "stream not found");
	s.now += 999;
	tick(&s);
	CHECK(s.d.state == KB_NATS_DURABLE_PAUSED && is_quiet(&s));
	s.now += 1;
	tick(&s);
	CHECK(s.d.state == KB_NATS_DURABLE_CHECKING && !s.news);
	CHECK(sent(&s, "PUB $JS.API.CONSUMER.INFO.S.D ") == 1);
	reply(&s, 'i', NO_STREAM);
	CHECK(s.d.state == KB_NATS_DURABLE_PAUSED && !s.news); /* the same reason is no news */
	s.now += 1000;
	tick(&s);
	reply(&s, 'i', NO_CONSUMER);
	reply(&s, 'c', NO_STREAM);
	CHECK(s.d.state == KB_NATS_DURABLE_PAUSED);
	end(&s);
}

static void a_request_without_a_reply_is_given_up_after_five_seconds(void)
{
	struct scene s;
	for (int creating = 0; creating < 2; creating++) {
		begin(&s, &plain);
		if (creating)
			reply(&s, 'i', NO_CONSUMER);
		kb_buf_clear(&s.out);
		enum kb_nats_durable_state state = s.d.state;
		s.now += 4999;
		tick(&s);
		CHECK(s.d.state == state && !s.news);
		s.now += 1;
		tick(&s);
		CHECK(s.d.state == KB_NATS_DURABLE_PAUSED && s.news && is_quiet(&s));
		CHECK_CONTAINS(s.d.why, "JetStream");
		end(&s);
	}
}

/* The reply to a request that was given up. */
static void what_comes_too_late_changes_nothing(void)
{
	struct scene s;
	begin(&s, &plain);
	s.now += 5000;
	tick(&s);
	kb_buf_clear(&s.out);
	reply(&s, 'i', CONFIG(""));
	status(&s, 409, "Consumer Deleted", NULL);
	CHECK(s.d.state == KB_NATS_DURABLE_PAUSED && is_quiet(&s) && !s.news);
	kb_nats_durable_taken(&s.d, &s.out, s.now);
	CHECK(s.d.state == KB_NATS_DURABLE_PAUSED && is_quiet(&s) && s.d.outstanding == 0);
	end(&s);
	begin_pulling(&s);
	reply(&s, 'c', NO_STREAM);
	CHECK(s.d.state == KB_NATS_DURABLE_PULLING && !s.d.why[0] && is_quiet(&s));
	end(&s);
}

static void a_message_of_the_stream_is_no_reply(void)
{
	struct scene s;
	struct kb_message m = {.key = KB_SLICE_LITERAL("orders.1"), .payload = KB_SLICE_LITERAL("x")};
	begin_pulling(&s);
	s.news = false;
	CHECK(!kb_nats_durable_heed(&s.d, &m, &s.out, s.now, &s.news) && !s.news && is_quiet(&s));
	end(&s);
}

/* -- while messages come -- */

static void heartbeats_keep_a_quiet_stream(void)
{
	struct scene s;
	begin_pulling(&s);
	for (int i = 0; i < 10; i++) {
		s.now += 5999;
		tick(&s);
		status(&s, 100, "Idle Heartbeat", NULL);
	}
	CHECK(s.d.state == KB_NATS_DURABLE_PULLING && is_quiet(&s) && s.d.outstanding == 1);
	s.now += 6000;
	tick(&s);
	CHECK(s.d.state == KB_NATS_DURABLE_PAUSED && s.news && s.d.outstanding == 0);
	CHECK_CONTAINS(s.d.why, "no heartbeat");
	end(&s);
}

static void messages_are_signs_of_life(void)
{
	struct scene s;
	begin_pulling(&s);
	for (int i = 0; i < 10; i++) {
		s.now += 5999;
		tick(&s);
		kb_nats_durable_taken(&s.d, &s.out, s.now);
	}
	CHECK(s.d.state == KB_NATS_DURABLE_PULLING);
	end(&s);
}

/* 404: there are no messages; 408: the time of the request is over. */
static void an_expired_request_is_followed_by_another(void)
{
	static const int codes[] = {404, 408};
	struct scene s;
	for (size_t i = 0; i < 2; i++) {
		begin_pulling(&s);
		status(&s, codes[i], "No Messages", NULL);
		CHECK(s.d.state == KB_NATS_DURABLE_PULLING && pulls(&s, 1) && s.d.outstanding == 1 && !s.news);
		end(&s);
	}
}

/* The header says how many messages of the request will not come; those of a later request still do. */
static void an_expired_request_ends_only_what_it_says(void)
{
	struct scene s;
	begin_pulling(&s);
	s.d.batch = 8;
	s.d.outstanding = 12;
	status(&s, 408, "Request Timeout", "3");
	CHECK(s.d.outstanding == 9 && is_quiet(&s));
	status(&s, 408, "Request Timeout", "5");
	CHECK(s.d.outstanding == 12 && pulls(&s, 8)); /* 4 are half a batch */
	status(&s, 408, "Request Timeout", "1000");
	CHECK(s.d.outstanding == 8 && pulls(&s, 8));
	status(&s, 408, "Request Timeout", "many");
	CHECK(s.d.outstanding == 8 && is_quiet(&s));
	status(&s, 408, "Request Timeout", NULL);
	CHECK(s.d.outstanding == 8 && pulls(&s, 8));
	end(&s);
}

static void another_leader_is_asked_at_once(void)
{
	struct scene s;
	begin_pulling(&s);
	s.d.batch = 8;
	s.d.outstanding = 12;
	status(&s, 409, "Leadership Change", NULL);
	CHECK(s.d.state == KB_NATS_DURABLE_PULLING && s.d.outstanding == 8 && pulls(&s, 8) && !s.news);
	end(&s);
}

static void another_refusal_of_messages_pauses_it(void)
{
	static const struct {
		int code;
		const char *description, *why;
	} refusals[] = {{409, "Consumer Deleted", "409 Consumer Deleted"}, {409, "Exceeded MaxWaiting", "409 Exceeded"},
		{400, "Bad Request", "400 Bad Request"}, {503, NULL, "503"}, {0, NULL, "0"}};
	struct scene s;
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		begin_pulling(&s);
		status(&s, refusals[i].code, refusals[i].description, NULL);
		CHECK(s.d.state == KB_NATS_DURABLE_PAUSED && s.news && is_quiet(&s) && s.d.outstanding == 0);
		CHECK_CONTAINS(s.d.why, refusals[i].why);
		s.now += 1000;
		tick(&s);
		reply(&s, 'i', CONFIG(""));
		CHECK(s.d.state == KB_NATS_DURABLE_PULLING && s.news && !s.d.why[0]);
		end(&s);
	}
}

int main(void)
{
	it_asks_for_the_consumer_on_an_inbox_of_its_own();
	one_that_is_there_is_used_as_it_is();
	one_that_is_not_there_is_created();
	one_that_differs_is_changed_once();
	a_refusal_pauses_it_and_it_begins_again();
	a_request_without_a_reply_is_given_up_after_five_seconds();
	what_comes_too_late_changes_nothing();
	a_message_of_the_stream_is_no_reply();
	heartbeats_keep_a_quiet_stream();
	messages_are_signs_of_life();
	an_expired_request_is_followed_by_another();
	an_expired_request_ends_only_what_it_says();
	another_leader_is_asked_at_once();
	another_refusal_of_messages_pauses_it();
	return check_failures ? 1 : 0;
}
