/* bus/retry with a clock that is handed in: what is sent again, when that ends, and what is held meanwhile. */
#include "bus/retry.h"

#include "check.h"

/* Refused so many times on end, each as soon as the pause before is over: the ms at which that was final; 0: never. */
static uint64_t final_at(struct kb_retry *r, uint64_t now, uint64_t patience_ms, int times)
{
	while (times--) {
		if (!kb_retry_refused(r, now, patience_ms))
			return now;
		CHECK(r->held && !kb_retry_due(r, now) && kb_retry_holds(r, 0));
		now = r->resume_at;
		CHECK(kb_retry_due(r, now));
		kb_retry_resume(r);
		CHECK(!kb_retry_holds(r, 0) && kb_retry_holds(r, 1));
	}
	return 0;
}

static void test_pauses_grow(void)
{
	struct kb_retry r = {0};
	const uint64_t wanted[] = {1000, 1100, 1300, 1700, 2500, 3500, 4500};
	uint64_t now = 1000;
	for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		CHECK(now == wanted[i]);
		CHECK(kb_retry_refused(&r, now, 60000));
		now = r.resume_at;
		kb_retry_resume(&r);
	}
}

static void test_final(void)
{
	CHECK(final_at(&(struct kb_retry){0}, 1000, 0, 1) == 1000);
	CHECK(final_at(&(struct kb_retry){0}, 1000, 250, 5) == 1300);
	/* Below the first pause: one more try, and no new beginning because of the pause. */
	CHECK(final_at(&(struct kb_retry){0}, 1000, 5, 5) == 1100);
}

static void test_final_while_held(void)
{
	struct kb_retry r = {0};
	CHECK(kb_retry_refused(&r, 1000, 5));
	CHECK(kb_retry_refused(&r, 1003, 5));
	CHECK(!kb_retry_refused(&r, 1006, 5));
	CHECK(r.held && kb_retry_due(&r, 1100)); /* the first two are still to be sent again */
	kb_retry_resume(&r);
	kb_retry_confirmed(&r);
	CHECK(!r.held && !r.probing);
}

static void test_final_until_quiet(void)
{
	struct kb_retry r = {0};
	CHECK(final_at(&r, 1000, 250, 5) == 1300);
	CHECK(!kb_retry_refused(&r, 1301, 250));
	CHECK(!kb_retry_refused(&r, 1551, 250));
	CHECK(!r.held && !r.probing);
	CHECK(kb_retry_refused(&r, 1802, 250)); /* 251 ms without */
}

static void test_never_final(void)
{
	struct kb_retry r = {0};
	CHECK(final_at(&r, 1000, KB_RETRY_FOR_EVER, 100) == 0);
	CHECK(kb_retry_refused(&r, 1000 + (int64_t)KB_RETRY_FOR_EVER * 10, KB_RETRY_FOR_EVER));
}

int main(void)
{
	test_pauses_grow();
	test_final();
	test_final_while_held();
	test_final_until_quiet();
	test_never_final();
	return check_failures != 0;
}
