#include "amqp/content.h"

#include <amqp.h>
#include <amqp_framing.h>
#include "amqp/bytes.h"
#include "amqp/headers.h"
#include "amqp/properties.h"

void kb_amqp_content_clear(struct kb_amqp_content *c)
{
	c->active = c->in_buffer = false;
	c->expected = 0; /* of a content that was cut short */
	c->useless = 0;
	kb_buf_clear(&c->body);
}

void kb_amqp_content_free(struct kb_amqp_content *c)
{
	kb_buf_free(&c->body);
	kb_buf_free(&c->names);
	kb_buf_free(&c->headers);
	kb_buf_free(&c->properties);
}

void kb_amqp_content_begin(struct kb_amqp_content *c, bool discard)
{
	unsigned useless = c->useless;
	kb_amqp_content_clear(c);
	c->useless = useless;
	c->active = true;
	c->discard = discard;
	c->m = (struct kb_message){0};
}

bool kb_amqp_content_detach(struct kb_amqp_content *c)
{
	size_t exchange = c->m.exchange.n, key = c->m.key.n;
	if (c->names.n > 0 && c->m.exchange.p == c->names.p)
		return true;
	kb_buf_clear(&c->names);
	char *to = kb_buf_reserve(&c->names, exchange + key + 1);
	if (!to)
		return false;
	memcpy(to, exchange ? c->m.exchange.p : "", exchange);
	memcpy(to + exchange, key ? c->m.key.p : "", key);
	c->names.n = exchange + key + 1;
	c->m.exchange = kb_slice(to, exchange);
	c->m.key = kb_slice(to + exchange, key);
	return true;
}

static void read_lists(struct kb_amqp_content *c, const amqp_basic_properties_t *properties)
{
	kb_buf_clear(&c->headers);
	kb_buf_clear(&c->properties);
	kb_amqp_properties_list(properties, &c->properties);
	if (properties->_flags & AMQP_BASIC_HEADERS_FLAG)
		kb_amqp_headers_list(&properties->headers, &c->headers);
	c->m.headers = kb_buf_slice(&c->headers);
	c->m.properties = kb_buf_slice(&c->properties);
}

bool kb_amqp_content_header(struct kb_amqp_content *c, const amqp_frame_t *frame)
{
	c->useless += c->expected > 0; /* a second header: what came of the body was for nothing */
	c->expected = frame->payload.properties.body_size;
	c->in_buffer = false;
	c->m.payload = kb_slice(NULL, 0);
	kb_buf_clear(&c->body);
	if (c->active && !c->discard && frame->payload.properties.class_id == AMQP_BASIC_CLASS)
		read_lists(c, frame->payload.properties.decoded);
	return c->active && c->expected == 0;
}

bool kb_amqp_content_body(struct kb_amqp_content *c, const amqp_frame_t *frame)
{
	struct kb_slice part = kb_amqp_bytes_slice(frame->payload.body_fragment);
	if (!c->active)
		return false;
	if (part.n > c->expected)
		part.n = c->expected; /* a lying broker gets what it announced */
	bool only = !c->in_buffer && part.n == c->expected;
	c->useless += part.n == 0;
	c->expected -= part.n;
	if (c->discard)
		return c->expected == 0;
	if (only) {
		c->m.payload = part;
	} else {
		kb_buf_append_slice(&c->body, part);
		c->in_buffer = true;
		c->m.payload = kb_buf_slice(&c->body);
	}
	return c->expected == 0;
}
