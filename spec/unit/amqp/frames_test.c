/* amqp/frames: what a frame has room for. */
#include "amqp/frames.h"

#include "check.h"

static void names_may_be_as_long_as_the_protocol_allows(void)
{
	static char longest[255];
	memset(longest, 'x', sizeof longest);
	struct kb_buf out = {0};
	amqp_bytes_t name = {sizeof longest, longest};
	amqp_queue_declare_t queue = {.queue = name, .passive = 1};
	amqp_exchange_declare_t exchange = {.exchange = name, .type = name, .passive = 1};
	CHECK(kb_amqp_frames_put_method(&out, 1, AMQP_QUEUE_DECLARE_METHOD, &queue));
	size_t first = out.n;
	CHECK(first > sizeof longest && out.p[first - 1] == (char)AMQP_FRAME_END);
	CHECK(kb_amqp_frames_put_method(&out, 1, AMQP_EXCHANGE_DECLARE_METHOD, &exchange));
	CHECK(out.n > first + 2 * sizeof longest && out.p[out.n - 1] == (char)AMQP_FRAME_END);
	kb_buf_free(&out);
}

int main(void)
{
	names_may_be_as_long_as_the_protocol_allows();
	return check_failures != 0;
}
