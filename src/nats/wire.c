#include "nats/wire.h"

#include "nats/headers.h"
#include "nats/words.h"
#include "core/number.h"

/* -- what the server sends -- */

static ssize_t broken(const char **fault, const char *why)
{
	*fault = why;
	return -1;
}

/* `line` without its first word: SUBJECT SID [REPLY] [HEADERS] SIZE. The contents follow the line. */
static ssize_t read_message(struct kb_slice bytes, size_t line_size, struct kb_slice line, bool has_headers,
	struct kb_nats_wire_op *op, size_t *need, const char **fault)
{
	struct kb_slice words[5];
	size_t n = 0, most = has_headers ? 5 : 4;
	for (struct kb_slice word; (word = kb_nats_words_next(&line)).n > 0;) {
		if (n == most)
			return broken(fault, "too many arguments of a message");
		words[n++] = word;
	}
	uint64_t size, header_size = 0;
	if (n + 1 < most || !kb_number_read(words[1], UINT64_MAX, &op->sid) ||
		!kb_number_read(words[n - 1], UINT64_MAX, &size) ||
		(has_headers && !kb_number_read(words[n - 2], UINT64_MAX, &header_size)))
		return broken(fault, "invalid arguments of a message");
	if (size > KB_NATS_MESSAGE_LONGEST || header_size > size)
		return broken(fault, "invalid size of a message");
	*need = line_size + size + 2;
	if (bytes.n < *need)
		return 0;
	const char *contents = bytes.p + line_size;
	if (contents[size] != '\r' || contents[size + 1] != '\n')
		return broken(fault, "message does not end at its announced size");
	op->kind = KB_NATS_MSG;
	op->subject = words[0];
	op->reply = n == most ? words[2] : kb_slice(NULL, 0);
	op->headers = kb_slice(contents, header_size);
	op->payload = kb_slice(contents + header_size, size - header_size);
	return (ssize_t)*need;
}

static struct kb_slice without_quotes(struct kb_slice text)
{
	while (text.n && (text.p[0] == ' ' || text.p[0] == '\''))
		text = kb_slice(text.p + 1, text.n - 1);
	while (text.n && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\''))
		text.n--;
	return text;
}

ssize_t kb_nats_wire_read(struct kb_slice bytes, struct kb_nats_wire_op *op, size_t *need, const char **fault)
{
	const char *end = bytes.n ? memchr(bytes.p, '\n', bytes.n) : NULL;
	*need = bytes.n + 1;
	if (!end)
		return bytes.n > KB_NATS_LINE_LONGEST ? broken(fault, "line too long") : 0;
	size_t size = (size_t)(end - bytes.p) + 1;
	struct kb_slice line = kb_slice(bytes.p, size - 1);
	if (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	if (line.n > 4 && memcmp(line.p, "MSG ", 4) == 0) /* nearly everything that comes at a high rate */
		return read_message(bytes, size, kb_slice(line.p + 4, line.n - 4), false, op, need, fault);
	struct kb_slice name = kb_nats_words_next(&line);
	if (kb_nats_words_equal(name, "MSG"))
		return read_message(bytes, size, line, false, op, need, fault);
	if (kb_nats_words_equal(name, "HMSG"))
		return read_message(bytes, size, line, true, op, need, fault);
	op->text = line;
	if (kb_nats_words_equal(name, "INFO"))
		op->kind = KB_NATS_INFO;
	else if (kb_nats_words_equal(name, "PING"))
		op->kind = KB_NATS_PING;
	else if (kb_nats_words_equal(name, "PONG"))
		op->kind = KB_NATS_PONG;
	else if (kb_nats_words_equal(name, "+OK"))
		op->kind = KB_NATS_OK;
	else if (kb_nats_words_equal(name, "-ERR"))
		op->kind = KB_NATS_ERR, op->text = without_quotes(line);
	else
		return broken(fault, "unknown protocol operation");
	return (ssize_t)size;
}

/* -- what we send -- */

/* Every message has numbers, and printf() takes longer than everything else about it. */
static void put_number(struct kb_buf *out, uint64_t number)
{
	char digits[20], *p = digits + sizeof digits;
	do
		*--p = (char)('0' + number % 10);
	while (number /= 10);
	kb_buf_append(out, p, (size_t)(digits + sizeof digits - p));
}

void kb_nats_wire_put_message(struct kb_buf *out, const struct kb_message *m)
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
		kb_nats_headers_put(out, m->headers);
	kb_buf_append_slice(out, m->payload);
	kb_buf_append(out, "\r\n", 2);
}

void kb_nats_wire_put_subscribe(struct kb_buf *out, struct kb_slice subject, struct kb_slice group, uint64_t sid)
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

void kb_nats_wire_put_unsubscribe(struct kb_buf *out, uint64_t sid)
{
	kb_buf_append(out, "UNSUB ", 6);
	put_number(out, sid);
	kb_buf_append(out, "\r\n", 2);
}
