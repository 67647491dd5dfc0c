#include "amqp/requests.h"

#include "amqp/channels.h"
#include "amqp/frames.h"
#include "amqp/state.h"

static amqp_channel_t number_of(const struct kb_broker *b, const struct kb_amqp_request_channel *q)
{
	return kb_amqp_channels_of_request(b, (size_t)(q - b->requests));
}

static bool is_for(const struct kb_amqp_request_channel *q, struct kb_slice exchange)
{
	return q->used && kb_slice_equal(kb_buf_slice(&q->exchange), exchange);
}

/* The one of this exchange, or else the one least recently used: by now the broker has returned or refused what went by
 * that, if it was going to. */
static struct kb_amqp_request_channel *channel_for(struct kb_broker *b, struct kb_slice exchange)
{
	size_t n = kb_amqp_channels_for_requests(b);
	struct kb_amqp_request_channel *oldest = n ? &b->requests[0] : NULL;
	for (size_t i = 0; i < n; i++) {
		struct kb_amqp_request_channel *q = &b->requests[i];
		if (is_for(q, exchange))
			return q;
		if (q->used < oldest->used)
			oldest = q;
	}
	if (!oldest)
		return NULL;
	kb_buf_clear(&oldest->exchange);
	kb_buf_append_slice(&oldest->exchange, exchange);
	return oldest;
}

/* The broker reads frames in their order, so the first request need not wait for its channel. */
bool kb_amqp_requests_put(struct kb_broker *b, const struct kb_message *m)
{
	struct kb_amqp_request_channel *q = channel_for(b, m->exchange);
	if (!q || q->exchange.failed)
		return false;
	q->used = ++b->requests_sent;
	if (!q->open)
		kb_amqp_frames_put_method(
			&b->link.out, number_of(b, q), AMQP_CHANNEL_OPEN_METHOD, &(amqp_channel_open_t){{0, NULL}});
	q->open = true;
	return kb_amqp_frames_put_publish(&b->link.out, number_of(b, q), m, (size_t)amqp_get_frame_max(b->link.connection));
}

struct kb_amqp_request_channel *kb_amqp_requests_on(struct kb_broker *b, amqp_channel_t channel)
{
	size_t i;
	return kb_amqp_channels_request(b, channel, &i) && b->requests[i].open ? &b->requests[i] : NULL;
}

void kb_amqp_requests_returned(struct kb_broker *b, struct kb_amqp_request_channel *q)
{
	struct kb_slice id = kb_headers_find(q->returned.m.properties, KB_SLICE_LITERAL("correlation-id"));
	if (id.n && b->events.request.unroutable)
		b->events.request.unroutable(b->events.context, kb_buf_slice(&q->exchange), id);
}

void kb_amqp_requests_closed(struct kb_broker *b, struct kb_amqp_request_channel *q, const char *why)
{
	struct kb_slice exchange = kb_buf_slice(&q->exchange);
	kb_log_limited(&b->bad_requests, KB_LOG_ERROR, "amqp: requests to exchange \"%.*s\" rejected by %s: %s",
		KB_SLICE_FMT(exchange), b->address, why);
	kb_amqp_frames_put_method(
		&b->link.out, number_of(b, q), AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	kb_amqp_content_clear(&q->returned);
	q->open = false;
	if (b->events.request.unroutable)
		b->events.request.unroutable(b->events.context, exchange, kb_slice(NULL, 0));
}

void kb_amqp_requests_clear(struct kb_broker *b)
{
	for (size_t i = 0; i < KB_AMQP_REQUEST_CHANNELS; i++) {
		b->requests[i].open = false;
		b->requests[i].used = 0;
		kb_amqp_content_clear(&b->requests[i].returned);
	}
}

void kb_amqp_requests_free(struct kb_broker *b)
{
	for (size_t i = 0; i < KB_AMQP_REQUEST_CHANNELS; i++) {
		kb_buf_free(&b->requests[i].exchange);
		kb_amqp_content_free(&b->requests[i].returned);
	}
}
