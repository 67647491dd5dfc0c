/* amqp/content: contents as a broker that does not speak the protocol sends them. */
#include "amqp/content.h"

#include "check.h"

static bool put_header(struct kb_amqp_content *c, uint64_t size)
{
	amqp_frame_t frame = {.frame_type = AMQP_FRAME_HEADER};
	frame.payload.properties.body_size = size; /* of no class that we read properties of */
	return kb_amqp_content_header(c, &frame);
}

static bool put_body(struct kb_amqp_content *c, const char *text)
{
	amqp_frame_t frame = {.frame_type = AMQP_FRAME_BODY};
	frame.payload.body_fragment = amqp_cstring_bytes(text);
	return kb_amqp_content_body(c, &frame);
}

static bool holds(const struct kb_amqp_content *c, const char *text)
{
	return kb_slice_equal(c->m.payload, kb_slice_from(text));
}

static void a_content_in_pieces_is_complete(void)
{
	struct kb_amqp_content c = {0};
	kb_amqp_content_begin(&c, false);
	CHECK(!put_header(&c, 5) && !put_body(&c, "ab") && put_body(&c, "cdefg"));
	CHECK(holds(&c, "abcde") && c.useless == 0);
	kb_amqp_content_free(&c);
}

/* What was announced of the first, which may be too large, is nothing that the second may have. */
static void a_content_that_is_cut_short_leaves_nothing(void)
{
	struct kb_amqp_content c = {0};
	kb_amqp_content_begin(&c, true);
	CHECK(!put_header(&c, UINT64_MAX));
	kb_amqp_content_begin(&c, false);
	CHECK(put_body(&c, "abc") && holds(&c, "") && c.body.n == 0);
	kb_amqp_content_free(&c);
}

static void a_second_header_begins_again(void)
{
	struct kb_amqp_content c = {0};
	kb_amqp_content_begin(&c, false);
	CHECK(!put_header(&c, 3) && !put_body(&c, "ab"));
	CHECK(!put_header(&c, 3) && c.useless == 1 && c.body.n == 0);
	CHECK(!put_body(&c, "xy") && put_header(&c, 0) && holds(&c, ""));
	kb_amqp_content_free(&c);
}

static void what_brings_it_no_further_is_counted(void)
{
	struct kb_amqp_content c = {0};
	kb_amqp_content_begin(&c, false);
	put_header(&c, 1);
	CHECK(!put_body(&c, "") && !put_body(&c, "") && c.useless == 2);
	kb_amqp_content_begin(&c, false);
	CHECK(c.useless == 2); /* the library has kept those frames */
	kb_amqp_content_clear(&c);
	CHECK(c.useless == 0);
	kb_amqp_content_free(&c);
}

int main(void)
{
	a_content_in_pieces_is_complete();
	a_content_that_is_cut_short_leaves_nothing();
	a_second_header_begins_again();
	what_brings_it_no_further_is_counted();
	return check_failures ? 1 : 0;
}
