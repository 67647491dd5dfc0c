/* nats/headers: blocks of headers read, and which headers can be sent. */
#include "nats/headers.h"

#include "check.h"

/* As "name=value;". */
static void print(struct kb_buf *list, char *to, size_t size)
{
	struct kb_slice rest = kb_buf_slice(list), name, value;
	size_t n = 0;
	to[0] = '\0';
	while (kb_headers_next(&rest, &name, &value) && n < size)
		n += (size_t)snprintf(to + n, size - n, "%.*s=%.*s;", KB_SLICE_FMT(name), KB_SLICE_FMT(value));
}

static void reads_headers(void)
{
	static const struct {
		const char *block, *headers, *properties; /* NULL: broken */
	} cases[] = {
		{"", "", ""},
		{"NATS/1.0\r\n\r\n", "", ""},
		{"NATS/1.0\r\nA: b\r\nA:c\r\nD: \t\r\n\r\n", "A=b;A=c;D=;", ""},
		{"NATS/1.0\r\nA: b: c \xff\r\n\r\n", "A=b: c \xff;", ""},
		{"NATS/1.0 503\r\n\r\n", "", "status=503;"},
		{"NATS/1.0 100 Idle Heartbeat\r\nA: b\r\n\r\n", "A=b;", "status=100;description=Idle Heartbeat;"},
		{"NATS/1.0", NULL, NULL},
		{"NATS/1.0\r\n", NULL, NULL},
		{"NATS/2.0\r\n\r\n", NULL, NULL},
		{"NATS/1.0\r\nno colon\r\n\r\n", NULL, NULL},
		{"NATS/1.0\r\n: no name\r\n\r\n", NULL, NULL},
		{"NATS/1.0\r\nA b: c\r\n\r\n", NULL, NULL},
		{"NATS/1.0\r\nA: b\r\n\r\nmore", NULL, NULL},
		{"NATS/1.0\r\nA: b\n\r\n", NULL, NULL},
		{"NATS/1.0 503\r\nA: b", NULL, NULL},
	};
	struct kb_buf headers = {0}, properties = {0};
	char text[200];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		kb_buf_clear(&headers);
		kb_buf_clear(&properties);
		CHECK(kb_nats_headers_read(kb_slice_from(cases[i].block), &headers, &properties) == (cases[i].headers != NULL));
		print(&headers, text, sizeof text);
		CHECK_TEXT(text, cases[i].headers ? cases[i].headers : "");
		print(&properties, text, sizeof text);
		CHECK_TEXT(text, cases[i].properties ? cases[i].properties : "");
	}
	kb_buf_free(&headers);
	kb_buf_free(&properties);
}

static int status_of(const char *value)
{
	struct kb_buf properties = {0};
	kb_headers_add(&properties, KB_SLICE_LITERAL("status"), kb_slice_from(value));
	int status = kb_nats_headers_status(kb_buf_slice(&properties));
	kb_buf_free(&properties);
	return status;
}

static void statuses(void)
{
	CHECK(status_of("503") == KB_NATS_NO_RESPONDERS && status_of("100") == 100);
	CHECK(status_of("") == 0 && status_of("1000") == 0 && status_of("-1") == 0 && status_of("4x4") == 0);
	CHECK(kb_nats_headers_status(kb_slice(NULL, 0)) == 0);
}

static const char *fault_of(struct kb_slice name, struct kb_slice value, size_t *size)
{
	struct kb_buf headers = {0};
	kb_headers_add(&headers, name, value);
	const char *fault = kb_nats_headers_fault(kb_buf_slice(&headers), size);
	kb_buf_free(&headers);
	return fault;
}

static void which_can_be_sent(void)
{
	size_t size;
	CHECK(!kb_nats_headers_fault(kb_slice(NULL, 0), &size) && size == 0);
	CHECK(!fault_of(KB_SLICE_LITERAL("A"), KB_SLICE_LITERAL("b c\xff"), &size));
	CHECK(size == sizeof "NATS/1.0\r\nA: b c\xff\r\n\r\n" - 1);
	CHECK(!fault_of(KB_SLICE_LITERAL("A"), KB_SLICE_LITERAL(""), &size));
	CHECK(fault_of(KB_SLICE_LITERAL(""), KB_SLICE_LITERAL("b"), &size));
	CHECK(fault_of(KB_SLICE_LITERAL("A:"), KB_SLICE_LITERAL("b"), &size));
	CHECK(fault_of(KB_SLICE_LITERAL("A B"), KB_SLICE_LITERAL("b"), &size));
	CHECK(fault_of(KB_SLICE_LITERAL("\xc3\xa4"), KB_SLICE_LITERAL("b"), &size));
	CHECK(fault_of(KB_SLICE_LITERAL("A"), KB_SLICE_LITERAL("b\nc"), &size));
	CHECK(fault_of(KB_SLICE_LITERAL("A"), KB_SLICE_LITERAL("b\rc"), &size));
	CHECK(fault_of(KB_SLICE_LITERAL("A"), KB_SLICE_LITERAL("b\0c"), &size));
}

int main(void)
{
	reads_headers();
	statuses();
	which_can_be_sent();
	return check_failures ? 1 : 0;
}
