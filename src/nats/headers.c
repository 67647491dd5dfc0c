#include "nats/headers.h"

#include "nats/number.h"
#include "nats/words.h"

/* -- reading -- */

/* Takes a line, without its end, off the front of the block. False: there is no complete line. */
static bool next_line(struct kb_slice *block, struct kb_slice *line)
{
	const char *end = block->n ? memchr(block->p, '\n', block->n) : NULL;
	if (!end || end == block->p || end[-1] != '\r')
		return false;
	*line = kb_slice(block->p, (size_t)(end - block->p) - 1);
	*block = kb_slice(end + 1, block->n - line->n - 2);
	return true;
}

static struct kb_slice trimmed(struct kb_slice s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = kb_slice(s.p + 1, s.n - 1);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* NATS/1.0 [STATUS [DESCRIPTION]] */
static bool read_status(struct kb_slice line, struct kb_buf *properties)
{
	if (!kb_nats_words_equal(kb_nats_words_next(&line), "NATS/1.0"))
		return false;
	struct kb_slice status = kb_nats_words_next(&line), description = trimmed(line);
	if (status.n)
		kb_headers_add(properties, KB_SLICE_LITERAL("status"), status);
	if (description.n)
		kb_headers_add(properties, KB_SLICE_LITERAL("description"), description);
	return true;
}

static bool read_header(struct kb_slice line, struct kb_buf *headers)
{
	const char *colon = memchr(line.p, ':', line.n);
	size_t n = colon ? (size_t)(colon - line.p) : 0;
	if (!kb_nats_headers_is_name(kb_slice(line.p, n)))
		return false;
	kb_headers_add(headers, kb_slice(line.p, n), trimmed(kb_slice(colon + 1, line.n - n - 1)));
	return true;
}

static bool read_block(struct kb_slice block, struct kb_buf *headers, struct kb_buf *properties)
{
	struct kb_slice line;
	if (!next_line(&block, &line) || !read_status(line, properties))
		return false;
	while (next_line(&block, &line)) {
		if (line.n == 0)
			return block.n == 0;
		if (!read_header(line, headers))
			return false;
	}
	return false;
}

bool kb_nats_headers_read(struct kb_slice block, struct kb_buf *headers, struct kb_buf *properties)
{
	size_t headers_before = headers->n, properties_before = properties->n;
	if (block.n == 0 || (read_block(block, headers, properties) && !headers->failed && !properties->failed))
		return true;
	headers->n = headers_before;
	properties->n = properties_before;
	return false;
}

int kb_nats_headers_status(struct kb_slice properties)
{
	uint64_t status = kb_nats_number(kb_headers_find(properties, KB_SLICE_LITERAL("status")));
	return status < 1000 ? (int)status : 0;
}

/* -- writing -- */

bool kb_nats_headers_is_name(struct kb_slice name)
{
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] <= ' ' || (unsigned char)name.p[i] >= 0x7f || name.p[i] == ':')
			return false;
	return name.n > 0;
}

static bool is_header_value(struct kb_slice value)
{
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] == '\r' || value.p[i] == '\n' || value.p[i] == '\0')
			return false;
	return true;
}

const char *kb_nats_headers_fault(struct kb_slice headers, size_t *size)
{
	struct kb_slice name, value;
	*size = headers.n ? strlen("NATS/1.0\r\n\r\n") : 0;
	while (kb_headers_next(&headers, &name, &value)) {
		if (!kb_nats_headers_is_name(name))
			return "header names must be visible ASCII without colons";
		if (!is_header_value(value))
			return "header values must not contain line breaks or NUL";
		*size += name.n + strlen(": ") + value.n + strlen("\r\n");
	}
	return NULL;
}

void kb_nats_headers_put(struct kb_buf *out, struct kb_slice headers)
{
	struct kb_slice name, value;
	kb_buf_append(out, "NATS/1.0\r\n", 10);
	while (kb_headers_next(&headers, &name, &value)) {
		kb_buf_append_slice(out, name);
		kb_buf_append(out, ": ", 2);
		kb_buf_append_slice(out, value);
		kb_buf_append(out, "\r\n", 2);
	}
	kb_buf_append(out, "\r\n", 2);
}
