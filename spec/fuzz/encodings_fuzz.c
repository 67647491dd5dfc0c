/* nats/base64 and core/routing_key: any bytes. */
#include <nettle/base64.h>
#include "nats/base64.h"
#include "core/routing_key.h"
#include "fuzz.h"

static void decodes_what_was_encoded(struct kb_slice bytes)
{
	struct kb_buf out = {0};
	char *text = malloc(bytes.n / 3 * 4 + 5);
	size_t n = BASE64_ENCODE_RAW_LENGTH(bytes.n);
	base64_encode_raw(text, bytes.n, (const uint8_t *)bytes.p);
	MUST(kb_nats_base64_decode(kb_slice(text, n), &out) && kb_slice_equal(kb_buf_slice(&out), bytes));
	while (n && text[n - 1] == '=')
		n--;
	kb_buf_clear(&out);
	MUST(kb_nats_base64_decode(kb_slice(text, n), &out) && kb_slice_equal(kb_buf_slice(&out), bytes));
	kb_buf_free(&out);
	free(text);
}

static void decodes_anything(struct kb_slice text)
{
	struct kb_buf out = {0};
	kb_buf_append_byte(&out, 'x');
	bool good = kb_nats_base64_decode(text, &out);
	MUST(!out.failed && out.n <= 1 + text.n / 4 * 3 + 2 && (good || out.n == 1));
	kb_buf_free(&out);
}

static int hex_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c - 'A' + 10;
}

static void encodes_routing_key(struct kb_slice word)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_~+%#*";
	struct kb_buf out = {0}, back = {0};
	kb_routing_key_encode(word, &out);
	for (size_t i = 0; i < out.n; i++) {
		MUST(memchr(allowed, out.p[i], sizeof allowed - 1));
		if (out.p[i] == '%') {
			MUST(out.n - i > 2);
			kb_buf_append_byte(&back, (char)(hex_of(out.p[i + 1]) << 4 | hex_of(out.p[i + 2])));
			i += 2;
		} else {
			kb_buf_append_byte(&back, out.p[i] == '+' ? ' ' : out.p[i]);
		}
	}
	MUST(kb_slice_equal(kb_buf_slice(&back), word));
	kb_buf_free(&out);
	kb_buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct kb_slice input = kb_slice(bytes, size);
	decodes_what_was_encoded(input);
	decodes_anything(input);
	encodes_routing_key(input);
	return 0;
}
