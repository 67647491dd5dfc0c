/* core/buf: what a large message has made grow is given back, and not while such messages keep coming. */
#include "core/buf.h"

#include "check.h"

enum { LARGE = 8 << 20 };

static void use(struct kb_buf *b, size_t n)
{
	char *to = kb_buf_reserve(b, n);
	CHECK(to);
	if (to)
		memset(to, 'x', n);
	b->n += n;
}

static void gives_back_what_one_large_message_took(void)
{
	struct kb_buf b = {0};
	use(&b, LARGE);
	kb_buf_clear(&b);
	CHECK(b.capacity >= LARGE); /* the next may be as large */
	for (int i = 0; i < KB_BUF_USES; i++) {
		use(&b, 1000);
		kb_buf_clear(&b);
	}
	CHECK(b.capacity <= KB_BUF_KEPT && b.n == 0 && !b.failed);
	use(&b, 1000);
	CHECK(b.n == 1000 && b.p[999] == 'x');
	kb_buf_free(&b);
}

static void keeps_what_is_needed_now_and_then(void)
{
	struct kb_buf b = {0};
	use(&b, LARGE);
	const char *memory = b.p;
	for (int i = 1; i < 10 * KB_BUF_USES; i++) {
		kb_buf_clear(&b);
		use(&b, i % (KB_BUF_USES / 2) ? 1000 : LARGE);
		CHECK(b.p == memory);
	}
	kb_buf_free(&b);
}

static void keeps_the_usual(void)
{
	struct kb_buf b = {0};
	use(&b, KB_BUF_KEPT);
	const char *memory = b.p;
	for (int i = 0; i < 10 * KB_BUF_USES; i++) {
		kb_buf_clear(&b);
		use(&b, 10);
		CHECK(b.p == memory);
	}
	kb_buf_free(&b);
}

static void gives_back_what_is_consumed(void)
{
	struct kb_buf b = {0};
	use(&b, LARGE);
	kb_buf_consume(&b, LARGE - 3);
	CHECK(b.n == 3 && b.capacity >= LARGE);
	kb_buf_consume(&b, 3);
	for (int i = 0; i < KB_BUF_USES; i++) {
		use(&b, 20);
		kb_buf_consume(&b, 10);
		kb_buf_consume(&b, 10);
	}
	CHECK(b.capacity <= KB_BUF_KEPT && b.n == 0);
	kb_buf_free(&b);
}

static void a_failure_stays_until_it_is_cleared(void)
{
	struct kb_buf b = {0};
	use(&b, 10);
	CHECK(!kb_buf_reserve(&b, SIZE_MAX));
	kb_buf_consume(&b, 10);
	CHECK(b.failed && b.n == 0);
	kb_buf_clear(&b);
	CHECK(!b.failed);
	kb_buf_free(&b);
}

int main(void)
{
	gives_back_what_one_large_message_took();
	keeps_what_is_needed_now_and_then();
	keeps_the_usual();
	gives_back_what_is_consumed();
	a_failure_stays_until_it_is_cleared();
	return check_failures ? 1 : 0;
}
