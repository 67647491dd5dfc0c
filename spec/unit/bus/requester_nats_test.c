/* bus/requester over NATS: where replies go, and requests of the process's own. */
#include "requester_scene.h"

#include "core/log.h"

static void put_request(const char *subject, const char *id)
{
	char reply[64];
	snprintf(reply, sizeof reply, "_INBOX.x.%s", id);
	outbox = kb_outbox_create(1, 65536, 1);
	CHECK(
		kb_outbox_put(outbox, 0, &(struct kb_message){.key = kb_slice_from(subject), .reply = kb_slice_from(reply)}) ==
		KB_OUTBOX_ACCEPTED);
}

static const char *nats_id(void)
{
	static char id[KB_REPLY_ID_WORD_CHARS + 1];
	kb_reply_id_word(id, 0);
	return id;
}

/* The whole message is there, in the slot. */
static void test_nats_reply(void)
{
	struct kb_slice reply = {NULL, 0};
	struct kb_message m = {0};
	char subject[64];
	const char *id = nats_id();
	begin();
	request(id, "");
	snprintf(subject, sizeof subject, "_INBOX.x.%s", id);
	fake.subject = subject;
	fake.correlation = "a property";
	fake.reply = "hello";
	outbox = kb_outbox_create(1, 65536, 1);
	run_over_nats();
	CHECK_TEXT(fake.queues[0], "_INBOX.x.*");
	CHECK(kb_reply_poll(replies, 0, &reply) == KB_REPLY_RECEIVED);
	CHECK((uintptr_t)reply.p % 8 == 0 && kb_message_decode(reply.p, reply.n, &m));
	CHECK_TEXT(text_of(m.payload), "hello");
	CHECK_TEXT(text_of(m.key), subject);
	CHECK_TEXT(text_of(kb_headers_find(m.properties, KB_SLICE_LITERAL("correlation-id"))), "a property");
}

static unsigned too_large_lines;

static void count_lines(enum kb_log_level level, const char *line)
{
	(void)level;
	too_large_lines += strstr(line, "discarding reply of") != NULL;
}

/* Over AMQP the process that waits logs what was read, over NATS the requester does. */
static void test_says_too_large(void)
{
	static char longest[5000];
	begin();
	request("the id", "");
	memset(longest, 'x', sizeof longest - 1);
	fake.reply = longest;
	fake.correlation = "the id";
	too_large_lines = 0;
	kb_log_set_sink(count_lines);
	run();
	CHECK(outcome() == KB_REPLY_TOO_LARGE && too_large_lines == 0);
	begin();
	fake.subject = "_INBOX.x.none";
	fake.reply = longest;
	outbox = kb_outbox_create(1, 65536, 1);
	run_over_nats();
	CHECK(too_large_lines == 1);
	kb_log_set_sink(NULL);
}

static void test_nats_too_large(void)
{
	static char longest[5000];
	char subject[64];
	const char *id = nats_id();
	begin();
	request(id, "");
	snprintf(subject, sizeof subject, "_INBOX.x.%s", id);
	memset(longest, 'x', sizeof longest - 1);
	fake.subject = subject;
	fake.reply = longest;
	outbox = kb_outbox_create(1, 65536, 1);
	run_over_nats();
	CHECK(outcome() == KB_REPLY_TOO_LARGE);
}

static void test_nats_unsent(const char *subject, const char *forbidden, bool invalid, enum kb_reply_state expected)
{
	const char *id = nats_id();
	begin();
	request(id, "");
	put_request(subject, id);
	fake.forbids = forbidden;
	fake.invalid = invalid;
	run_over_nats();
	CHECK(outcome() == expected);
}

static void test_own_requests(void)
{
	begin();
	fake.subject = "_INBOX.x.own";
	fake.reply = "{}";
	outbox = kb_outbox_create(1, 65536, 1);
	run_over_nats();
	CHECK_TEXT(own, "own reply");
	begin();
	put_request("a.b", "own");
	fake.invalid = true;
	run_over_nats();
	CHECK_TEXT(own, "own unsent");
}

int main(void)
{
	test_nats_reply();
	test_nats_too_large();
	test_says_too_large();
	test_nats_unsent("a.b", NULL, true, KB_REPLY_UNSENT);
	test_nats_unsent("a.b", "a.b", false, KB_REPLY_FORBIDDEN);
	test_nats_unsent("a.b", "a.c", false, KB_REPLY_WAITING);
	test_own_requests();
	return end_scene();
}
