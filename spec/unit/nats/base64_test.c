/* nats/base64: with and without padding, and nothing of what is not base64. */
#include "nats/base64.h"

#include "check.h"

static void decodes(void)
{
	struct kb_buf text = {0};
	static const struct {
		const char *from, *to;
	} good[] = {{"", ""}, {"YQ==", "a"}, {"YQ", "a"}, {"YWI=", "ab"}, {"YWJj", "abc"}, {"YWJjZA==", "abcd"},
		{"+/+/", "\xfb\xff\xbf"}};
	static const char *const bad[] = {"Y", "YQ=", "=", "====", "Y===", "Y Q=", "YQ==YQ==", "YWJj-", "YW\nI="};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		kb_buf_clear(&text);
		CHECK(kb_nats_base64_decode(kb_slice_from(good[i].from), &text));
		CHECK(kb_slice_equal(kb_buf_slice(&text), kb_slice_from(good[i].to)));
	}
	kb_buf_append_byte(&text, '!');
	size_t before = text.n;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(!kb_nats_base64_decode(kb_slice_from(bad[i]), &text) && text.n == before);
	kb_buf_free(&text);
}

int main(void)
{
	decodes();
	return check_failures ? 1 : 0;
}
