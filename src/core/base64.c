#include "core/base64.h"

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Up to four digits to up to three bytes. */
static bool decode_group(const char *text, size_t digits, char bytes[3])
{
	unsigned bits = 0;
	for (size_t i = 0; i < 4; i++) {
		int d = i < digits ? digit(text[i]) : 0;
		if (d < 0)
			return false;
		bits = bits << 6 | (unsigned)d;
	}
	bytes[0] = (char)(bits >> 16);
	bytes[1] = (char)(bits >> 8);
	bytes[2] = (char)bits;
	return true;
}

bool kb_base64_decode(struct kb_slice text, struct kb_buf *out)
{
	size_t before = out->n, padding = 0;
	while (padding < 2 && text.n && text.n % 4 == (4 - padding) % 4 && text.p[text.n - 1] == '=') {
		text.n--;
		padding++;
	}
	if (text.n % 4 == 1)
		return false;
	for (size_t i = 0; i < text.n; i += 4) {
		char bytes[3];
		size_t digits = text.n - i < 4 ? text.n - i : 4;
		if (!decode_group(text.p + i, digits, bytes)) {
			out->n = before;
			return false;
		}
		kb_buf_append(out, bytes, digits - 1);
	}
	return !out->failed;
}
