#include "nats/base64.h"

#include <nettle/base64.h>

/* Nettle would accept a padding that is too short. */
static struct kb_slice without_padding(struct kb_slice text)
{
	size_t padding = 0;
	while (padding < 2 && text.n && text.n % 4 == (4 - padding) % 4 && text.p[text.n - 1] == '=') {
		text.n--;
		padding++;
	}
	return text;
}

bool kb_nats_base64_decode(struct kb_slice text, struct kb_buf *out)
{
	text = without_padding(text);
	if (text.n == 0)
		return !out->failed;
	size_t wanted = text.n / 4 * 3 + text.n % 4 * 3 / 4, n = 0;
	char *to = text.n % 4 == 1 ? NULL : kb_buf_reserve(out, BASE64_DECODE_LENGTH(text.n));
	if (!to)
		return false;
	struct base64_decode_ctx context;
	base64_decode_init(&context);
	/* It passes over blanks, which leaves fewer bytes than wanted. */
	if (!base64_decode_update(&context, &n, (uint8_t *)to, text.n, text.p) || n != wanted)
		return false;
	out->n += n;
	return true;
}
