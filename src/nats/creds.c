#include "nats/creds.h"

#include "nats/nkey.h"

static const char digits[] = KB_NATS_NKEY_DIGITS;

static bool is_base32(struct kb_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!memchr(digits, s.p[i], sizeof digits - 1))
			return false;
	return true;
}

static struct kb_slice next_line(struct kb_slice *text)
{
	const char *end = text->n ? memchr(text->p, '\n', text->n) : NULL;
	struct kb_slice line = kb_slice(text->p, end ? (size_t)(end - text->p) : text->n);
	*text = end ? kb_slice(end + 1, text->n - line.n - 1) : kb_slice(NULL, 0);
	while (line.n && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
		line.n--;
	while (line.n && (line.p[0] == ' ' || line.p[0] == '\t'))
		line = kb_slice(line.p + 1, line.n - 1);
	return line;
}

struct kb_slice kb_nats_creds_seed(struct kb_slice text)
{
	while (text.n) {
		struct kb_slice line = next_line(&text);
		if (line.n == KB_NATS_NKEY_SEED_CHARS && line.p[0] == 'S' && is_base32(line))
			return line;
	}
	return kb_slice(NULL, 0);
}

struct kb_slice kb_nats_creds_jwt(struct kb_slice text)
{
	bool inside = false;
	while (text.n) {
		struct kb_slice line = next_line(&text);
		if (line.n && line.p[0] == '-')
			inside = memmem(line.p, line.n, "BEGIN NATS USER JWT", 19) != NULL;
		else if (inside && line.n)
			return line;
	}
	return kb_slice(NULL, 0);
}
