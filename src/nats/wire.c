#include "nats/wire.h"

#include <strings.h>

#include "nats/message.h"

/* -- words of a line -- */

/* The next word of the line, which moves past it and the blanks before it; empty at the end. */
static struct kb_slice next_word(struct kb_slice *line)
{
	const char *p = line->p, *end = line->p + line->n;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	const char *word = p;
	while (p < end && *p != ' ' && *p != '\t')
		p++;
	*line = kb_slice(p, (size_t)(end - p));
	return kb_slice(word, (size_t)(p - word));
}

static bool read_number(struct kb_slice word, uint64_t *number)
{
	*number = 0;
	for (size_t i = 0; i < word.n; i++) {
		if (word.p[i] < '0' || word.p[i] > '9')
			return false;
		*number = *number * 10 + (uint64_t)(word.p[i] - '0');
	}
	return word.n > 0 && word.n <= 18;
}

/* -- what the server says -- */

static ssize_t broken(const char **fault, const char *why)
{
	*fault = why;
	return -1;
}

/* `line` without its first word: SUBJECT SID [REPLY] [HEADERS] SIZE. The contents follow the line. */
static ssize_t read_message(struct kb_slice bytes, size_t line_size, struct kb_slice line, bool has_headers,
	struct kb_nats_op *op, size_t *need, const char **fault)
{
	struct kb_slice words[5];
	size_t n = 0, most = has_headers ? 5 : 4;
	for (struct kb_slice word; (word = next_word(&line)).n > 0;) {
		if (n == most)
			return broken(fault, "a message has too many arguments");
		words[n++] = word;
	}
	uint64_t size, header_size = 0;
	if (n + 1 < most || !read_number(words[1], &op->sid) || !read_number(words[n - 1], &size) ||
		(has_headers && !read_number(words[n - 2], &header_size)))
		return broken(fault, "a message has wrong arguments");
	if (size > KB_NATS_MESSAGE_LONGEST || header_size > size)
		return broken(fault, "a message has an impossible size");
	*need = line_size + size + 2;
	if (bytes.n < *need)
		return 0;
	const char *contents = bytes.p + line_size;
	if (contents[size] != '\r' || contents[size + 1] != '\n')
		return broken(fault, "a message does not end where it says");
	op->kind = KB_NATS_MSG;
	op->subject = words[0];
	op->reply = n == most ? words[2] : kb_slice(NULL, 0);
	op->headers = kb_slice(contents, header_size);
	op->payload = kb_slice(contents + header_size, size - header_size);
	return (ssize_t)*need;
}

static bool is(struct kb_slice word, const char *name)
{
	return word.n == strlen(name) && strncasecmp(word.p, name, word.n) == 0;
}

static struct kb_slice without_quotes(struct kb_slice text)
{
	while (text.n && (text.p[0] == ' ' || text.p[0] == '\''))
		text = kb_slice(text.p + 1, text.n - 1);
	while (text.n && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\''))
		text.n--;
	return text;
}

ssize_t kb_nats_read(struct kb_slice bytes, struct kb_nats_op *op, size_t *need, const char **fault)
{
	const char *end = bytes.n ? memchr(bytes.p, '\n', bytes.n) : NULL;
	*need = bytes.n + 1;
	if (!end)
		return bytes.n > KB_NATS_LINE_LONGEST ? broken(fault, "a line is too long") : 0;
	size_t size = (size_t)(end - bytes.p) + 1;
	struct kb_slice line = kb_slice(bytes.p, size - 1);
	if (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	if (line.n > 4 && memcmp(line.p, "MSG ", 4) == 0) /* nearly all that comes fast */
		return read_message(bytes, size, kb_slice(line.p + 4, line.n - 4), false, op, need, fault);
	struct kb_slice name = next_word(&line);
	if (is(name, "MSG"))
		return read_message(bytes, size, line, false, op, need, fault);
	if (is(name, "HMSG"))
		return read_message(bytes, size, line, true, op, need, fault);
	op->text = line;
	if (is(name, "INFO"))
		op->kind = KB_NATS_INFO;
	else if (is(name, "PING"))
		op->kind = KB_NATS_PING;
	else if (is(name, "PONG"))
		op->kind = KB_NATS_PONG;
	else if (is(name, "+OK"))
		op->kind = KB_NATS_OK;
	else if (is(name, "-ERR"))
		op->kind = KB_NATS_ERR, op->text = without_quotes(line);
	else
		return broken(fault, "it says what is no part of the protocol");
	return (ssize_t)size;
}

/* -- headers -- */

/* A line off the front of the block, without its end. False: there is no end. */
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
	if (!is(next_word(&line), "NATS/1.0"))
		return false;
	struct kb_slice status = next_word(&line), description = trimmed(line);
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
	if (!kb_nats_is_header_name(kb_slice(line.p, n)))
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

/* -- what we say -- */

/* Numbers are on the way of every message: printf() takes longer than all else about it. */
static void put_number(struct kb_buf *out, uint64_t number)
{
	char digits[20], *p = digits + sizeof digits;
	do
		*--p = (char)('0' + number % 10);
	while (number /= 10);
	kb_buf_append(out, p, (size_t)(digits + sizeof digits - p));
}

static void put_headers(struct kb_buf *out, struct kb_slice headers)
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

void kb_nats_put_message(struct kb_buf *out, const struct kb_message *m)
{
	size_t header_size = 0;
	if (m->headers.n)
		kb_nats_headers_fault(m->headers, &header_size);
	kb_buf_append_slice(out, m->headers.n ? KB_SLICE_LITERAL("HPUB ") : KB_SLICE_LITERAL("PUB "));
	kb_buf_append_slice(out, m->key);
	kb_buf_append_byte(out, ' ');
	if (m->reply.n) {
		kb_buf_append_slice(out, m->reply);
		kb_buf_append_byte(out, ' ');
	}
	if (m->headers.n) {
		put_number(out, header_size);
		kb_buf_append_byte(out, ' ');
	}
	put_number(out, header_size + m->payload.n);
	kb_buf_append(out, "\r\n", 2);
	if (m->headers.n)
		put_headers(out, m->headers);
	kb_buf_append_slice(out, m->payload);
	kb_buf_append(out, "\r\n", 2);
}

void kb_nats_put_subscribe(struct kb_buf *out, struct kb_slice subject, struct kb_slice group, uint64_t sid)
{
	kb_buf_append(out, "SUB ", 4);
	kb_buf_append_slice(out, subject);
	kb_buf_append_byte(out, ' ');
	if (group.n) {
		kb_buf_append_slice(out, group);
		kb_buf_append_byte(out, ' ');
	}
	put_number(out, sid);
	kb_buf_append(out, "\r\n", 2);
}

void kb_nats_put_unsubscribe(struct kb_buf *out, uint64_t sid)
{
	kb_buf_append(out, "UNSUB ", 6);
	put_number(out, sid);
	kb_buf_append(out, "\r\n", 2);
}
