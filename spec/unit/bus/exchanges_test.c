/* bus/exchanges: what is asked for, which messages wait, and which are refused. */
#include "bus/exchanges.h"

#include "check.h"

enum { WRITERS = 2, PATIENCE_MS = 5000 };

static struct kb_exchanges *x;
static int64_t now = 1000;

static struct kb_slice name(const char *text)
{
	return kb_slice_from(text);
}

static enum kb_exchange_verdict verdict(const char *exchange, size_t writer, uint64_t end)
{
	const char *why = NULL;
	enum kb_exchange_verdict v = kb_exchanges_verdict(x, name(exchange), writer, end, now, &why);
	CHECK((v == KB_EXCHANGE_MISSING) == (why != NULL));
	return v;
}

/* The broker is asked for this one now, when the writers have written so much; NULL: for none. */
static void asks_for(const char *exchange, uint64_t first, uint64_t second)
{
	struct kb_slice asked;
	bool any = kb_exchanges_next(x, now, &asked);
	CHECK(any == (exchange != NULL));
	if (!any || !exchange)
		return;
	CHECK(kb_slice_equal(asked, name(exchange)));
	kb_exchanges_lookup_sent(x, (uint64_t[WRITERS]){first, second});
	CHECK(!kb_exchanges_next(x, now, &asked)); /* one at a time */
}

static void begin(void)
{
	x = kb_exchanges_new(WRITERS, PATIENCE_MS);
	kb_exchanges_connected(x, now);
	asks_for(NULL, 0, 0);
	CHECK(!kb_exchanges_any(x));
}

static void end(void)
{
	kb_exchanges_free(x);
}

static void test_one_that_is_missing(void)
{
	begin();
	kb_exchanges_used(x, name("m"));
	CHECK(kb_exchanges_doubt(x, name("m"), now));
	CHECK(kb_exchanges_any(x));
	CHECK(verdict("m", 0, 10) == KB_EXCHANGE_WAIT);
	CHECK(verdict("other", 0, 10) == KB_EXCHANGE_SEND);
	CHECK(kb_exchanges_until(x, now, 500) == 0);
	asks_for("m", 100, 200);
	CHECK(kb_exchanges_until(x, now, 500) == 500);
	CHECK(verdict("m", 0, 10) == KB_EXCHANGE_WAIT);
	CHECK(!kb_exchanges_lookup_done(x, true, "404", now));
	CHECK(verdict("m", 0, 100) == KB_EXCHANGE_MISSING);
	CHECK(verdict("m", 1, 200) == KB_EXCHANGE_MISSING);
	CHECK(kb_exchanges_doubt(x, name("m"), now)); /* still in flight */
	asks_for(NULL, 0, 0);

	CHECK(verdict("m", 1, 201) == KB_EXCHANGE_WAIT); /* written after the lookup was sent: it may be there by now */
	CHECK(kb_exchanges_until(x, now, 500) == 0);
	asks_for("m", 100, 201);
	CHECK(!kb_exchanges_lookup_done(x, false, NULL, now));
	CHECK(verdict("m", 1, 201) == KB_EXCHANGE_SEND);
	end();
}

/* One lookup at a time: another exchange that is due does not wake the loop before its result. */
static void test_one_that_is_due_while_another_is_asked_for(void)
{
	begin();
	kb_exchanges_used(x, name("first"));
	kb_exchanges_doubt(x, name("first"), now);
	asks_for("first", 1, 1);
	kb_exchanges_lookup_done(x, true, "404", now);
	kb_exchanges_used(x, name("second"));
	kb_exchanges_doubt(x, name("second"), now);
	asks_for("second", 1, 1);
	CHECK(verdict("first", 0, 2) == KB_EXCHANGE_WAIT);
	CHECK(kb_exchanges_until(x, now, 500) == 500);
	end();
}

/* What was found is not asked for again at once: then the message is to blame. */
static void test_one_that_is_there(void)
{
	begin();
	CHECK(kb_exchanges_doubt(x, name("a"), now));
	asks_for("a", 1, 1);
	CHECK(!kb_exchanges_lookup_done(x, false, NULL, now));
	CHECK(!kb_exchanges_doubt(x, name("a"), now));
	now += 1000;
	CHECK(kb_exchanges_doubt(x, name("a"), now));
	asks_for("a", 1, 1);
	CHECK(!kb_exchanges_lookup_done(x, false, NULL, now));
	now += 1000;
	asks_for(NULL, 0, 0);
	CHECK(!kb_exchanges_any(x));
	end();
}

static void test_one_that_is_not_published_to_is_forgotten(void)
{
	begin();
	CHECK(kb_exchanges_doubt(x, name("m"), now));
	asks_for("m", 1, 1);
	kb_exchanges_lookup_done(x, true, "404", now);
	now += 9999;
	asks_for(NULL, 0, 0);
	CHECK(verdict("m", 0, 1) == KB_EXCHANGE_MISSING);
	now += 9999;
	asks_for(NULL, 0, 0);
	CHECK(kb_exchanges_any(x));
	now += 1;
	asks_for(NULL, 0, 0);
	CHECK(!kb_exchanges_any(x));
	end();
}

/* Asks while the broker says no, and returns the ms until the messages of `exchange` are refused. */
static int64_t waits(const char *exchange)
{
	int64_t began = now;
	CHECK(kb_exchanges_doubt(x, name(exchange), now));
	for (int pause = 0; verdict(exchange, 0, 1) == KB_EXCHANGE_WAIT && now < began + 2 * PATIENCE_MS; now += pause) {
		asks_for(exchange, 1, 1);
		kb_exchanges_lookup_done(x, true, "404", now);
		pause = kb_exchanges_until(x, now, 5000);
		CHECK(pause == 5000 || (pause >= 100 && pause <= 1000));
		if (pause == 5000)
			break; /* missing */
		asks_for(NULL, 0, 0);
	}
	CHECK(verdict(exchange, 0, 1) == KB_EXCHANGE_MISSING);
	return now - began;
}

static void test_one_that_took_messages_before(void)
{
	begin();
	kb_exchanges_used(x, name("known"));
	CHECK(waits("unknown") == 0);
	now += 60000;
	kb_exchanges_connected(x, now);
	kb_exchanges_used(x, name("known"));
	int64_t waited = waits("known");
	CHECK(waited >= PATIENCE_MS && waited < PATIENCE_MS + 1000);
	kb_exchanges_connected(x, now); /* and now it is not known any more */
	kb_exchanges_used(x, name("known"));
	CHECK(waits("known") == 0);
	end();
}

static void test_one_that_we_declare(void)
{
	begin();
	kb_exchanges_expect(x, name("own"));
	kb_exchanges_used(x, name("own"));
	CHECK(waits("own") >= PATIENCE_MS);
	end();
}

static void test_one_that_is_asked_for_when_the_connection_is_lost(void)
{
	begin();
	kb_exchanges_used(x, name("a"));
	CHECK(kb_exchanges_doubt(x, name("a"), now));
	asks_for("a", 5, 5);
	kb_exchanges_connected(x, now);
	CHECK(verdict("a", 0, 5) == KB_EXCHANGE_WAIT);
	asks_for("a", 5, 5);
	CHECK(kb_exchanges_lookup_done(x, true, "404", now));
	CHECK(verdict("a", 0, 5) == KB_EXCHANGE_WAIT);
	CHECK(kb_exchanges_until(x, now, 5000) == 100);
	now += 100;
	asks_for("a", 5, 5);
	CHECK(!kb_exchanges_lookup_done(x, false, NULL, now));
	CHECK(verdict("a", 0, 5) == KB_EXCHANGE_SEND);
	end();
}

static void test_too_many(void)
{
	char long_name[KB_EXCHANGE_NAME_MAX + 1];
	size_t doubted = 0;
	begin();
	memset(long_name, 'n', sizeof long_name);
	CHECK(kb_exchanges_doubt(x, kb_slice(long_name, KB_EXCHANGE_NAME_MAX), now));
	CHECK(!kb_exchanges_doubt(x, kb_slice(long_name, KB_EXCHANGE_NAME_MAX + 1), now));
	for (char c = 0; c < 100; c++)
		doubted += kb_exchanges_doubt(x, kb_slice(&c, 1), now);
	CHECK(doubted == 63);
	CHECK(!kb_exchanges_lookup_done(x, true, "404", now)); /* no lookup is in flight */
	end();
}

int main(void)
{
	test_one_that_is_missing();
	test_one_that_is_due_while_another_is_asked_for();
	test_one_that_is_there();
	test_one_that_is_not_published_to_is_forgotten();
	test_one_that_took_messages_before();
	test_one_that_we_declare();
	test_one_that_is_asked_for_when_the_connection_is_lost();
	test_too_many();
	return check_failures != 0;
}
