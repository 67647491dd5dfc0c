/* nats/message: what may be sent. */
#include "nats/message.h"

#include <stdio.h>

static int failures;

#define CHECK(condition)                                                                                               \
	do {                                                                                                               \
		if (!(condition)) {                                                                                            \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
			failures++;                                                                                                \
		}                                                                                                              \
	} while (0)

static bool can_publish(const char *subject)
{
	return !kb_nats_subject_fault(kb_slice_from(subject));
}

static bool can_subscribe(const char *subject)
{
	return !kb_nats_pattern_fault(kb_slice_from(subject));
}

static void subjects(void)
{
	static const char *const both[] = {"a", "a.b.c", "$SYS.x", "a*", "*a", "a>b", "-", "\xc3\xa4", "a/b"};
	static const char *const only_to_subscribe[] = {"*", ">", "a.*", "*.a", "a.>", "*.*.>"};
	static const char *const neither[] = {"", ".", "a.", ".a", "a..b", " ", "a b", "a\tb", "a\nb", "a\x7f", ".*"};
	for (size_t i = 0; i < sizeof both / sizeof *both; i++)
		CHECK(can_publish(both[i]) && can_subscribe(both[i]));
	for (size_t i = 0; i < sizeof only_to_subscribe / sizeof *only_to_subscribe; i++)
		CHECK(!can_publish(only_to_subscribe[i]) && can_subscribe(only_to_subscribe[i]));
	for (size_t i = 0; i < sizeof neither / sizeof *neither; i++)
		CHECK(!can_publish(neither[i]) && !can_subscribe(neither[i]));
	CHECK(!can_subscribe(">.a"));
	CHECK(kb_nats_subject_fault(kb_slice("a\0b", 3)) != NULL);
}

static const char *fault_of(struct kb_slice name, struct kb_slice value, size_t *size)
{
	struct kb_buf headers = {0};
	kb_headers_add(&headers, name, value);
	const char *fault = kb_nats_headers_fault(kb_buf_slice(&headers), size);
	kb_buf_free(&headers);
	return fault;
}

static void headers(void)
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
	subjects();
	headers();
	return failures ? 1 : 0;
}
