/* nats/subject: what can be published to and subscribed to. */
#include "nats/subject.h"

#include "check.h"

static bool can_publish(const char *subject)
{
	return !kb_nats_subject_fault(kb_slice_from(subject));
}

static bool can_subscribe(const char *subject)
{
	return !kb_nats_subject_pattern_fault(kb_slice_from(subject));
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

int main(void)
{
	subjects();
	return check_failures ? 1 : 0;
}
