#include "amqp/frames.h"

#include "amqp/bytes.h"
#include "amqp/headers.h"
#include "amqp/properties.h"

enum {
	FRAME_HEADER = 7,      /* type, channel, size: 2.3.5 of the specification */
	FRAME_OVERHEAD = 8,    /* the header and the end byte */
	CONTENT_HEADER = 12,   /* class, weight, body size */
	METHOD_ROOM = 4 + 64,  /* id and fixed fields of the methods we send, next to their strings */
	PROPERTIES_ROOM = 256, /* flags and the fixed properties */
	SHORT_STRING_MAX = 255,
	STRINGS_ROOM = 2 * SHORT_STRING_MAX /* no method that we send has more than two */
};

static void put16(char *to, unsigned value)
{
	to[0] = (char)(value >> 8);
	to[1] = (char)value;
}

static void put32(char *to, uint32_t value)
{
	put16(to, value >> 16);
	put16(to + 2, value & 0xffff);
}

static void put64(char *to, uint64_t value)
{
	put32(to, (uint32_t)(value >> 32));
	put32(to + 4, (uint32_t)value);
}

/* Wraps the `size` bytes that lie FRAME_HEADER behind the end of `out` into a frame. */
static void close_frame(struct kb_buf *out, int type, amqp_channel_t channel, size_t size)
{
	char *frame = out->p + out->n;
	frame[0] = (char)type;
	put16(frame + 1, channel);
	put32(frame + 3, (uint32_t)size);
	frame[FRAME_HEADER + size] = (char)AMQP_FRAME_END;
	out->n += size + FRAME_OVERHEAD;
}

static bool put_method_frame(
	struct kb_buf *out, amqp_channel_t channel, amqp_method_number_t id, void *fields, size_t room)
{
	char *frame = kb_buf_reserve(out, room + METHOD_ROOM + FRAME_OVERHEAD);
	if (!frame)
		return false;
	put32(frame + FRAME_HEADER, id);
	int n = amqp_encode_method(id, fields, (amqp_bytes_t){room + METHOD_ROOM - 4, frame + FRAME_HEADER + 4});
	if (n < 0)
		return false;
	close_frame(out, AMQP_FRAME_METHOD, channel, (size_t)n + 4);
	return true;
}

bool kb_amqp_frames_put_method(struct kb_buf *out, amqp_channel_t channel, amqp_method_number_t id, void *fields)
{
	return put_method_frame(out, channel, id, fields, STRINGS_ROOM);
}

void kb_amqp_frames_put_heartbeat(struct kb_buf *out)
{
	if (kb_buf_reserve(out, FRAME_OVERHEAD))
		close_frame(out, AMQP_FRAME_HEARTBEAT, 0, 0);
}

/* What every message has unless it says otherwise. */
static const amqp_basic_properties_t defaults = {
	._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG,
	.content_type = {sizeof "application/json" - 1, "application/json"},
	.delivery_mode = AMQP_DELIVERY_PERSISTENT,
};

/* All of it is one frame; a longer one would cost the connection. */
static bool put_content_header(struct kb_buf *out, amqp_channel_t channel, const struct kb_message *m,
	amqp_basic_properties_t *properties, size_t frame_max)
{
	amqp_table_entry_t entries[KB_AMQP_HEADERS_MAX];
	if (m->headers.n) {
		if (!kb_amqp_headers_read(m->headers, entries, &properties->headers))
			return false;
		properties->_flags |= AMQP_BASIC_HEADERS_FLAG;
	}
	size_t room = CONTENT_HEADER + PROPERTIES_ROOM + 2 * m->headers.n + m->properties.n;
	char *frame = kb_buf_reserve(out, room + FRAME_OVERHEAD);
	if (!frame)
		return false;
	char *to = frame + FRAME_HEADER;
	put16(to, AMQP_BASIC_CLASS);
	put16(to + 2, 0);
	put64(to + 4, m->payload.n);
	int n = amqp_encode_properties(
		AMQP_BASIC_CLASS, properties, (amqp_bytes_t){room - CONTENT_HEADER, to + CONTENT_HEADER});
	if (n < 0 || CONTENT_HEADER + (size_t)n + FRAME_OVERHEAD > frame_max)
		return false;
	close_frame(out, AMQP_FRAME_HEADER, channel, CONTENT_HEADER + (size_t)n);
	return true;
}

static void put_body(struct kb_buf *out, amqp_channel_t channel, struct kb_slice body, size_t frame_max)
{
	size_t most = frame_max - FRAME_OVERHEAD;
	while (body.n) {
		size_t n = body.n < most ? body.n : most;
		char *frame = kb_buf_reserve(out, n + FRAME_OVERHEAD);
		if (!frame)
			return;
		memcpy(frame + FRAME_HEADER, body.p, n);
		close_frame(out, AMQP_FRAME_BODY, channel, n);
		body = kb_slice(body.p + n, body.n - n);
	}
}

static bool put_all(struct kb_buf *out, amqp_channel_t channel, const struct kb_message *m, size_t frame_max)
{
	amqp_basic_properties_t properties = defaults;
	struct kb_slice bad;
	bool mandatory = false;
	if (m->exchange.n > SHORT_STRING_MAX || m->key.n > SHORT_STRING_MAX ||
		!kb_amqp_properties_read(m->properties, &properties, &mandatory, &bad))
		return false;
	amqp_basic_publish_t publish = {
		.exchange = kb_amqp_bytes_of(m->exchange), .routing_key = kb_amqp_bytes_of(m->key), .mandatory = mandatory};
	if (!put_method_frame(out, channel, AMQP_BASIC_PUBLISH_METHOD, &publish, m->exchange.n + m->key.n) ||
		!put_content_header(out, channel, m, &properties, frame_max))
		return false;
	put_body(out, channel, m->payload, frame_max);
	return !out->failed;
}

bool kb_amqp_frames_put_publish(
	struct kb_buf *out, amqp_channel_t channel, const struct kb_message *m, size_t frame_max)
{
	size_t before = out->n;
	if (put_all(out, channel, m, frame_max))
		return true;
	out->n = before; /* no half message stays behind */
	out->failed = false;
	return false;
}
