/* nats/wire: what a server may say, in whatever pieces it comes, and what we say. */
#include "nats/wire.h"

#include <stdlib.h>
#include "nats/headers.h"
#include "check.h"

static struct kb_nats_wire_op op;
static size_t need;
static const char *fault;

static ssize_t read_text(const char *text)
{
	fault = NULL;
	return kb_nats_wire_read(kb_slice_from(text), &op, &need, &fault);
}

static bool same(struct kb_slice s, const char *text)
{
	return kb_slice_equal(s, kb_slice_from(text));
}

static void reads_what_servers_say(void)
{
	CHECK(read_text("PING\r\nPONG\r\n") == 6 && op.kind == KB_NATS_PING);
	CHECK(read_text("pong\r\n") == 6 && op.kind == KB_NATS_PONG);
	CHECK(read_text("+OK\r\n") == 5 && op.kind == KB_NATS_OK);
	CHECK(read_text("-ERR 'Unknown Protocol'\r\n") > 0 && op.kind == KB_NATS_ERR && same(op.text, "Unknown Protocol"));
	CHECK(read_text("INFO {\"a\":1}\r\n") > 0 && op.kind == KB_NATS_INFO && same(op.text, " {\"a\":1}"));
	CHECK(read_text("MSG a.b 7 3\r\nxyz\r\nMSG") == 18 && op.kind == KB_NATS_MSG && op.sid == 7);
	CHECK(same(op.subject, "a.b") && op.reply.n == 0 && op.headers.n == 0 && same(op.payload, "xyz"));
	CHECK(read_text("MSG a 7 back.here 0\r\n\r\n") > 0 && same(op.reply, "back.here") && op.payload.n == 0);
	CHECK(read_text("HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n") > 0 && same(op.payload, "hi"));
	CHECK(same(op.headers, "NATS/1.0\r\n\r\n") && op.reply.n == 0);
	CHECK(read_text("HMSG a 1 back 12 12\r\nNATS/1.0\r\n\r\n\r\n") > 0 && same(op.reply, "back") && op.payload.n == 0);
	CHECK(read_text("MSG\ta  1\t1\r\nx\r\n") > 0 && same(op.payload, "x"));
}

/* However it is cut, it is read when all is there and not before; *need never asks for more than there is. */
static void waits_for_the_rest(void)
{
	static const char *const whole[] = {"PING\r\n", "INFO {\"a\":1}\r\n", "MSG a.b 7 back 3\r\nxyz\r\n",
		"HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", "-ERR 'x'\r\n"};
	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
		size_t size = strlen(whole[i]);
		for (size_t n = 0; n < size; n++) {
			CHECK(kb_nats_wire_read(kb_slice(whole[i], n), &op, &need, &fault) == 0);
			CHECK(need > n && need <= size);
		}
		CHECK(kb_nats_wire_read(kb_slice(whole[i], size), &op, &need, &fault) == (ssize_t)size);
	}
}

static void refuses_what_is_no_protocol(void)
{
	static const char *const wrong[] = {"\r\n", "HTTP/1.1 400 Bad Request\r\n", "MSG\r\n", "MSG a\r\n", "MSG a 1\r\n",
		"MSG a x 1\r\n", "MSG a 1 b c 1\r\n", "MSG a 1 -1\r\n", "MSG a 1 99999999999999999999\r\n",
		"MSG a 1 999999999\r\n", "MSG a 1 1\r\nxyz\r\n", "HMSG a 1 5\r\n", "HMSG a 1 9 5\r\n", "HMSG a 1 b c 1 2\r\n",
		"MSGS a 1 1\r\n", "\x16\x03\x01\n"};
	static char endless[KB_NATS_LINE_LONGEST + 2];
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(read_text(wrong[i]) == -1 && fault);
	memset(endless, 'I', sizeof endless);
	CHECK(kb_nats_wire_read(kb_slice(endless, sizeof endless - 1), &op, &need, &fault) == -1);
	CHECK(kb_nats_wire_read(kb_slice(endless, 1000), &op, &need, &fault) == 0);
}

/* Whatever a server says, cut and bent: nothing behind the end is read (the sanitizer sees that), and what is taken
 * lies inside. */
static void survives_anything(void)
{
	static const char sound[] = "MSG a.b 7 back 3\r\nxyz\r\nHMSG a 1 28 30\r\nNATS/1.0 503 No\r\nA: b\r\n\r\nhi\r\n"
								"INFO {\"a\":1}\r\nPING\r\n-ERR 'x'\r\n+OK\r\n";
	struct kb_buf headers = {0}, properties = {0};
	unsigned random = 4711;
	for (int round = 0; round < 200000; round++) {
		size_t size = 1 + random % (sizeof sound - 1);
		char *bytes = malloc(size);
		memcpy(bytes, sound, size);
		for (int bend = 0; bend < 3; bend++) {
			random = random * 1103515245u + 12345;
			bytes[(random >> 8) % size] = (char)(random >> 16 & (bend ? 0x3f : 0xff));
		}
		size_t at = 0;
		for (ssize_t n = 1; n > 0 && at < size; at += (size_t)n) {
			n = kb_nats_wire_read(kb_slice(bytes + at, size - at), &op, &need, &fault);
			CHECK(n <= (ssize_t)(size - at) && (n != 0 || need > size - at) && (n >= 0 || fault));
			if (n <= 0)
				break;
			if (op.kind != KB_NATS_MSG)
				continue;
			CHECK(op.payload.p >= bytes && op.payload.p + op.payload.n <= bytes + size);
			kb_buf_clear(&headers);
			kb_buf_clear(&properties);
			kb_nats_headers_read(op.headers, &headers, &properties);
		}
		free(bytes);
	}
	kb_buf_free(&headers);
	kb_buf_free(&properties);
}

static void check_said(struct kb_buf *out, const char *wanted)
{
	kb_buf_append_byte(out, '\0');
	CHECK_TEXT(out->p, wanted);
	kb_buf_clear(out);
}

static void says(void)
{
	struct kb_buf out = {0}, headers = {0};
	struct kb_message m = {.key = KB_SLICE_LITERAL("a.b"), .payload = KB_SLICE_LITERAL("0123456789")};
	kb_nats_wire_put_message(&out, &m);
	check_said(&out, "PUB a.b 10\r\n0123456789\r\n");
	m.reply = KB_SLICE_LITERAL("back");
	m.payload = kb_slice(NULL, 0);
	kb_nats_wire_put_message(&out, &m);
	check_said(&out, "PUB a.b back 0\r\n\r\n");
	kb_headers_add(&headers, KB_SLICE_LITERAL("A"), KB_SLICE_LITERAL("b"));
	kb_headers_add(&headers, KB_SLICE_LITERAL("C"), KB_SLICE_LITERAL(""));
	m.headers = kb_buf_slice(&headers);
	m.payload = KB_SLICE_LITERAL("xyz");
	kb_nats_wire_put_message(&out, &m);
	check_said(&out, "HPUB a.b back 23 26\r\nNATS/1.0\r\nA: b\r\nC: \r\n\r\nxyz\r\n");
	kb_nats_wire_put_subscribe(&out, KB_SLICE_LITERAL("a.>"), KB_SLICE_LITERAL("g"), 12);
	check_said(&out, "SUB a.> g 12\r\n");
	kb_nats_wire_put_subscribe(&out, KB_SLICE_LITERAL("a.>"), kb_slice(NULL, 0), 1);
	check_said(&out, "SUB a.> 1\r\n");
	kb_nats_wire_put_unsubscribe(&out, 1);
	check_said(&out, "UNSUB 1\r\n");
	kb_buf_free(&out);
	kb_buf_free(&headers);
}

int main(void)
{
	reads_what_servers_say();
	waits_for_the_rest();
	refuses_what_is_no_protocol();
	survives_anything();
	says();
	return check_failures ? 1 : 0;
}
