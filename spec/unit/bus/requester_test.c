/* bus/requester: when requests can be sent, and that nothing is read where nothing came. */
#include "requester_scene.h"

static void test_a_queue_for_each_connection(void)
{
	begin();
	fake.lose_at = 2;
	run();
	CHECK(fake_role == (KB_ROLE_PUBLISH | KB_ROLE_CONSUME));
	CHECK(fake.n_queues == 2);
	CHECK_TEXT(fake.queues[0], "me-targeted-1");
	CHECK_TEXT(fake.queues[1], "me-targeted-2");
	CHECK_TEXT(text_of(kb_amqp_reply_queue_address(replies, "me")), "me-targeted-2");
}

static void test_lost_with_the_connection(void)
{
	struct kb_slice reply;
	begin();
	request("id", "");
	fake.lose_at = 2;
	run();
	CHECK(fake.open_at[2] && fake.open_at[3]); /* and between them not, or the question would not be lost */
	CHECK(kb_reply_poll(replies, 0, &reply) == KB_REPLY_LOST);
}

static const char *why_closed(void)
{
	static char why[KB_LINE_BYTES];
	kb_replies_why_closed(replies, why);
	return why;
}

static const char *last_error(void)
{
	static char error[KB_LINE_BYTES];
	kb_line_get(&traffic->error, error);
	return error;
}

/* The events of the connection, in their order. */
static const char *events(void)
{
	static char text[256];
	size_t n = 0;
	struct kb_message m;
	text[0] = '\0';
	while (kb_inbox_next(inbox, 0, &m))
		n += (size_t)snprintf(text + n, sizeof text - n, "%.*s ", KB_SLICE_FMT(m.key));
	return text;
}

/* What is said of the connection while its subscription is refused, comes to stand and falls. */
static void test_subscription(unsigned stand_at, unsigned fall_at, enum kb_connection_state state, const char *why,
	const char *error, const char *expected_events)
{
	struct kb_traffic *counts = kb_traffic_create(1, 1);
	traffic = kb_traffic_connection(counts, "requester", "", 0);
	inbox = kb_inbox_create(1, (struct kb_inbox_size){65536, 0});
	begin();
	CHECK_TEXT(why_closed(), "not connected to a broker");
	fake.refuses = true;
	fake.stand_at = stand_at;
	fake.fall_at = fall_at;
	run();
	for (unsigned call = 0; call < 6; call++)
		CHECK(fake.open_at[call] == (stand_at && call > stand_at && !(fall_at && call > fall_at)));
	CHECK(kb_counter_get(&traffic->state) == state);
	CHECK_TEXT(why_closed(), why);
	CHECK_TEXT(last_error(), error);
	CHECK_TEXT(events(), expected_events);
	kb_inbox_destroy(inbox);
	kb_traffic_destroy(counts);
	inbox = NULL;
	traffic = NULL;
}

static void test_lost_while_refused(void)
{
	begin();
	fake.refuses = true;
	fake.lose_at = 5;
	run();
	CHECK_TEXT(why_closed(), "not connected to a broker");
}

static void test_reads_what_comes(void)
{
	begin();
	fake.fail_connects = 1;
	fake.say_at = 2;
	run();
	/* A new connection may have left something in the library. */
	const unsigned expected[] = {1, 0, 0, 1, 0, 0};
	for (unsigned i = 0; i < 6; i++)
		CHECK(fake.read_at[i] == expected[i]);
}

/* A loop with so much to send that it never sleeps hears the broker all the same. */
static void test_reads_while_it_sends(void)
{
	begin();
	fake.busy_from = 2;
	run();
	const unsigned expected[] = {1, 0, 0, 1, 1, 1};
	for (unsigned i = 0; i < 6; i++)
		CHECK(fake.read_at[i] == expected[i]);
}

int main(void)
{
	test_a_queue_for_each_connection();
	test_lost_with_the_connection();
	test_subscription(0, 0, KB_CONNECTION_CONNECTING, "cannot receive replies: refused", "refused", "");
	test_subscription(2, 0, KB_CONNECTION_OPEN, "cannot receive replies: refused", "refused", "requester-open ");
	test_subscription(
		2, 4, KB_CONNECTION_CONNECTING, "cannot receive replies: gone", "gone", "requester-open requester-closed ");
	test_lost_while_refused();
	test_reads_what_comes();
	test_reads_while_it_sends();
	return end_scene();
}
