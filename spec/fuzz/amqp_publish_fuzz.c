/* amqp/frames and amqp/properties: a message as a script gives it. Exchange, routing key, properties and
 * headers (`k=v;k2=v2`) a line each, then the payload; what is written is read again by the library. */
#include "amqp/frames.h"

#include "amqp/bytes.h"
#include "amqp/headers.h"
#include "amqp/properties.h"
#include "fuzz.h"

enum { CHANNEL = 3, FRAME_MAX = 4096 };

static amqp_connection_state_t reader(void)
{
	static char first[] = {AMQP_FRAME_METHOD, 0, 1, 0, 0, 0, 4, 0, 20, 0, 41, (char)AMQP_FRAME_END};
	amqp_connection_state_t connection = amqp_new_connection();
	amqp_frame_t ignored;
	/* With its first frame the library has the handshake behind it. */
	MUST(connection && amqp_handle_input(connection, (amqp_bytes_t){sizeof first, first}, &ignored) > 0);
	MUST(amqp_tune_connection(connection, 0, FRAME_MAX, 0) == AMQP_STATUS_OK);
	return connection;
}

static void take_frame(amqp_connection_state_t connection, struct kb_slice *rest, amqp_frame_t *frame)
{
	frame->frame_type = 0;
	while (!frame->frame_type) {
		int n = amqp_handle_input(connection, kb_amqp_bytes_of(*rest), frame);
		MUST(n > 0);
		*rest = kb_slice(rest->p + n, rest->n - (size_t)n);
	}
	MUST(frame->channel == CHANNEL);
}

static bool is_number(struct kb_slice name)
{
	return kb_slice_equal(name, KB_SLICE_LITERAL("delivery-mode")) ||
		   kb_slice_equal(name, KB_SLICE_LITERAL("priority")) || kb_slice_equal(name, KB_SLICE_LITERAL("timestamp"));
}

/* Of equal names the last counts, and 007 is 7. */
static void check_properties(const struct kb_message *m, const amqp_basic_properties_t *read)
{
	struct kb_buf list = {0};
	struct kb_slice rest = m->properties, name, value;
	kb_amqp_properties_list(read, &list);
	while (kb_headers_next(&rest, &name, &value)) {
		struct kb_slice again = kb_headers_find(kb_buf_slice(&list), name);
		if (kb_headers_find(rest, name).p || kb_slice_equal(name, KB_SLICE_LITERAL("mandatory")))
			continue;
		MUST(again.p && (is_number(name) || kb_slice_equal(again, value)));
	}
	kb_buf_free(&list);
}

static void check_headers(const struct kb_message *m, const amqp_basic_properties_t *read)
{
	struct kb_buf list = {0};
	if (read->_flags & AMQP_BASIC_HEADERS_FLAG)
		kb_amqp_headers_list(&read->headers, &list);
	MUST(kb_slice_equal(kb_buf_slice(&list), m->headers));
	kb_buf_free(&list);
}

static void reads_again(const struct kb_message *m, struct kb_slice frames)
{
	amqp_connection_state_t connection = reader();
	amqp_frame_t frame;
	struct kb_slice left = m->payload;
	take_frame(connection, &frames, &frame);
	MUST(frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_PUBLISH_METHOD);
	const amqp_basic_publish_t *publish = frame.payload.method.decoded;
	MUST(kb_slice_equal(kb_amqp_bytes_slice(publish->exchange), m->exchange));
	MUST(kb_slice_equal(kb_amqp_bytes_slice(publish->routing_key), m->key));
	take_frame(connection, &frames, &frame);
	MUST(frame.frame_type == AMQP_FRAME_HEADER && frame.payload.properties.body_size == m->payload.n);
	check_properties(m, frame.payload.properties.decoded);
	check_headers(m, frame.payload.properties.decoded);
	while (frames.n) {
		take_frame(connection, &frames, &frame);
		struct kb_slice part = kb_amqp_bytes_slice(frame.payload.body_fragment);
		MUST(frame.frame_type == AMQP_FRAME_BODY && part.n && part.n <= left.n && part.n <= FRAME_MAX - 8);
		MUST(memcmp(part.p, left.p, part.n) == 0);
		left = kb_slice(left.p + part.n, left.n - part.n);
	}
	MUST(left.n == 0);
	amqp_destroy_connection(connection);
}

/* True when scripts may publish it. */
static bool passes_checks(const struct kb_message *m)
{
	struct kb_slice name, value;
	return !kb_amqp_properties_check(m->properties, &name, &value) && !kb_amqp_headers_check(m->headers, &name) &&
		   m->exchange.n <= 255 && m->key.n <= 255;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct kb_slice rest = kb_slice(bytes, size), bad;
	struct kb_buf properties = {0}, headers = {0}, out = {0};
	struct kb_message m = {.exchange = take_line(&rest), .key = take_line(&rest)};
	kb_headers_parse(take_line(&rest), &properties, &bad);
	kb_headers_parse(take_line(&rest), &headers, &bad);
	m.properties = kb_buf_slice(&properties);
	m.headers = kb_buf_slice(&headers);
	m.payload = rest;
	kb_buf_append_byte(&out, 'x');
	bool written = kb_amqp_frames_put_publish(&out, CHANNEL, &m, FRAME_MAX);
	MUST(!written || passes_checks(&m));
	MUST(written || !passes_checks(&m) || size > FRAME_MAX / 4); /* header frames have a bound */
	MUST(!out.failed && (written || out.n == 1));
	if (written)
		reads_again(&m, kb_slice(out.p + 1, out.n - 1));
	kb_buf_free(&properties);
	kb_buf_free(&headers);
	kb_buf_free(&out);
	return 0;
}
