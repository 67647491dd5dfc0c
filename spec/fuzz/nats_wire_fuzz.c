/* nats/wire and nats/headers: what a server says, as one piece and in many. */
#include "nats/headers.h"
#include "nats/wire.h"
#include "fuzz.h"

/* What was read, in a form that can be compared. */
static void note(struct kb_buf *log, const struct kb_nats_wire_op *op)
{
	kb_buf_append(log, &op->kind, sizeof op->kind);
	if (op->kind == KB_NATS_MSG) {
		kb_buf_append(log, &op->sid, sizeof op->sid);
		kb_headers_add(log, op->subject, op->reply);
		kb_headers_add(log, op->headers, op->payload);
	} else {
		kb_headers_add(log, op->text, kb_slice(NULL, 0));
	}
}

static void sends_headers_as_read(struct kb_slice headers)
{
	size_t size;
	struct kb_buf out = {0}, again = {0}, properties = {0};
	if (headers.n && !kb_nats_headers_fault(headers, &size)) {
		kb_nats_wire_put_message(&out, &(struct kb_message){.key = KB_SLICE_LITERAL("s"), .headers = headers});
		const char *block = memchr(out.p, '\n', out.n) + 1;
		MUST(lies_in(kb_slice(block, size + 2), kb_buf_slice(&out)));
		MUST(kb_nats_headers_read(kb_slice(block, size), &again, &properties));
		MUST(kb_slice_equal(kb_buf_slice(&again), headers) && properties.n == 0);
	}
	kb_buf_free(&out);
	kb_buf_free(&again);
	kb_buf_free(&properties);
}

static void reads_headers(struct kb_slice block)
{
	struct kb_buf headers = {0}, properties = {0};
	struct kb_slice name, value;
	bool good = kb_nats_headers_read(block, &headers, &properties);
	MUST(good || (headers.n == 0 && properties.n == 0));
	for (struct kb_slice rest = kb_buf_slice(&headers); kb_headers_next(&rest, &name, &value);)
		MUST(kb_nats_headers_is_name(name));
	sends_headers_as_read(kb_buf_slice(&headers));
	kb_buf_free(&headers);
	kb_buf_free(&properties);
}

static void check_op(const struct kb_nats_wire_op *op, struct kb_slice taken)
{
	if (op->kind == KB_NATS_MSG) {
		MUST(lies_in(op->subject, taken) && lies_in(op->reply, taken) && op->subject.n);
		MUST(lies_in(op->headers, taken) && lies_in(op->payload, taken));
		MUST(op->headers.n + op->payload.n + 2 <= taken.n);
		reads_headers(op->headers);
	} else {
		MUST(lies_in(op->text, taken));
	}
}

/* Reads until something is missing or wrong. Returns what is missing, 0: wrong. */
static size_t read_all(struct kb_slice bytes, size_t *taken, struct kb_buf *log)
{
	for (;;) {
		struct kb_nats_wire_op op;
		size_t need = 0, left = bytes.n - *taken;
		const char *fault = NULL;
		ssize_t n = kb_nats_wire_read(kb_slice(bytes.p + *taken, left), &op, &need, &fault);
		MUST(n >= 0 || fault);
		if (n < 0)
			return 0;
		if (n == 0) {
			MUST(need > left);
			return need - left;
		}
		MUST((size_t)n <= left);
		check_op(&op, kb_slice(bytes.p + *taken, (size_t)n));
		note(log, &op);
		*taken += (size_t)n;
	}
}

/* Each piece lies in memory of its very size. */
static size_t read_in_pieces(struct kb_slice bytes, unsigned random, struct kb_buf *log)
{
	size_t at = 0, taken = 0, missing = 1, more;
	do {
		random = random * 1103515245u + 12345;
		more = 1 + (random >> 16) % (random & 64 ? 4 : 64);
		more = more < bytes.n - at ? more : bytes.n - at;
		char *copy = malloc(at + more ? at + more : 1);
		size_t before = taken;
		memcpy(copy, bytes.p, at + more);
		size_t still = read_all(kb_slice(copy, at + more), &taken, log);
		MUST(more >= missing || (taken == before && still)); /* it was said that this is not enough */
		free(copy);
		missing = still;
		at += more;
	} while (missing && at < bytes.n);
	return missing;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct kb_slice input = kb_slice(bytes, size);
	struct kb_buf whole = {0}, pieces = {0};
	size_t taken = 0, missing;
	if (size == 0)
		return 0;
	missing = read_all(input, &taken, &whole);
	MUST((missing == 0) == (read_in_pieces(input, (unsigned)(size + bytes[size / 2]), &pieces) == 0));
	MUST(kb_slice_equal(kb_buf_slice(&whole), kb_buf_slice(&pieces)));
	reads_headers(input);
	kb_buf_free(&whole);
	kb_buf_free(&pieces);
	return 0;
}
