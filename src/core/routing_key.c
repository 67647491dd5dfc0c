#include "core/routing_key.h"

static bool stays(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
		   c == '~';
}

static bool is_wildcard(struct kb_slice word)
{
	return word.n == 1 && (word.p[0] == '#' || word.p[0] == '*');
}

void kb_routing_key_encode(struct kb_slice word, struct kb_buf *out)
{
	static const char hex[] = "0123456789ABCDEF";
	if (is_wildcard(word)) {
		kb_buf_append_slice(out, word);
		return;
	}
	for (size_t i = 0; i < word.n; i++) {
		unsigned char c = (unsigned char)word.p[i];
		if (stays(c))
			kb_buf_append_byte(out, (char)c);
		else if (c == ' ')
			kb_buf_append_byte(out, '+');
		else
			kb_buf_append(out, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
	}
}
