/* nats/store: which messages for streams are given up, to be sent again. */
#include "nats/store.h"

#include "check.h"

enum { SID = 7, NOW = 100000 /* ms */ };

static uint64_t given_up[16];
static size_t n_given_up, n_done;

static void on_settled(void *context, uint64_t sequence, bool multiple, enum kb_outcome outcome, const char *reason)
{
	(void)context, (void)multiple, (void)reason;
	if (outcome == KB_PENDING)
		given_up[n_given_up++ % 16] = sequence;
	else
		n_done++;
}

static const struct kb_broker_events events = {.publish.settled = on_settled};

struct bench {
	struct kb_nats_store store;
	struct kb_nats_link link;
};

/* So many messages are on their way, numbered from 1. */
static void begin(struct bench *b, unsigned messages)
{
	uint64_t sequence;
	struct kb_message m = {.key = KB_SLICE_LITERAL("s"), .payload = KB_SLICE_LITERAL("x")};
	*b = (struct bench){0};
	n_given_up = n_done = 0;
	for (unsigned i = 1; i <= messages; i++)
		CHECK(kb_nats_store_put(&b->store, &b->link, SID, &m, NOW, &sequence) == KB_BROKER_OK && sequence == i);
}

static void finish(struct bench *b)
{
	kb_nats_store_free(&b->store);
	kb_nats_link_free(&b->link);
}

static void sent_ago(struct bench *b, unsigned number, int ms)
{
	b->store.flights[number].sent_ms = NOW - ms;
}

static void answer(struct bench *b, unsigned number, const char *payload)
{
	char subject[KB_NATS_STORE_INBOX_BYTES];
	snprintf(subject, sizeof subject, "%s.m%u", b->store.inbox, number);
	kb_nats_store_heed(&b->store, kb_slice_from(subject), kb_slice_from(payload), kb_slice(NULL, 0), NOW, &events);
}

static void acknowledge(struct bench *b, unsigned number)
{
	answer(b, number, "{\"stream\":\"S\",\"seq\":1}");
}

/* A cluster's other nodes may elect a leader 3 s after the last message that the old one could have stored. */
static void a_stream_that_is_silent_is_given_up_before_there_is_another_leader(void)
{
	struct bench b;
	begin(&b, 3);
	sent_ago(&b, 1, 2600);
	sent_ago(&b, 2, 2500);
	kb_nats_store_expire(&b.store, NOW, &events);
	CHECK(n_given_up == 2 && given_up[0] == 1 && given_up[1] == 2);
	acknowledge(&b, 1); /* too late, it is on its way again */
	CHECK(n_done == 0);
	acknowledge(&b, 3);
	CHECK(n_done == 1);
	finish(&b);
}

/* Thousands wait for a slow stream; sending them again would make it slower. */
static void a_stream_that_is_slow_is_waited_for(void)
{
	struct bench b;
	begin(&b, 4);
	for (unsigned i = 1; i <= 4; i++)
		sent_ago(&b, i, 20000);
	acknowledge(&b, 1);
	kb_nats_store_expire(&b.store, NOW, &events);
	CHECK(n_done == 1 && n_given_up == 0);
	kb_nats_store_expire(&b.store, NOW + 1999, &events);
	CHECK(n_given_up == 0);
	kb_nats_store_expire(&b.store, NOW + 2000, &events);
	CHECK(n_given_up == 3);
	finish(&b);
}

/* Of two streams, one has lost its leader. */
static void what_others_overtake_is_given_up(void)
{
	struct bench b;
	begin(&b, 4);
	sent_ago(&b, 1, 5000);
	sent_ago(&b, 2, 2500);
	sent_ago(&b, 3, 1000);
	acknowledge(&b, 3);
	kb_nats_store_expire(&b.store, NOW, &events);
	CHECK(n_given_up == 1 && given_up[0] == 1);
	finish(&b);
}

/* It is sent again, until it is known to be stored. */
static void a_duplicate_without_a_sequence_does_not_count_as_stored(void)
{
	struct bench b;
	begin(&b, 2);
	answer(&b, 1, "{\"stream\":\"S\",\"seq\":0,\"duplicate\":true}");
	CHECK(n_done == 0 && n_given_up == 1 && given_up[0] == 1);
	answer(&b, 2, "{\"stream\":\"S\",\"seq\":9,\"duplicate\":true}");
	CHECK(n_done == 1 && n_given_up == 1);
	finish(&b);
}

int main(void)
{
	a_stream_that_is_silent_is_given_up_before_there_is_another_leader();
	a_stream_that_is_slow_is_waited_for();
	what_others_overtake_is_given_up();
	a_duplicate_without_a_sequence_does_not_count_as_stored();
	return check_failures ? 1 : 0;
}
