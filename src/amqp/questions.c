/* The channels that questions go by, and what the broker says about questions that nobody gets. */
#include "amqp/state.h"

#include "amqp/frames.h"

enum { CHANNELS_WITHOUT_LIMIT = 65535 };

amqp_channel_t kb_amqp_highest_channel(const struct kb_broker *b)
{
	int agreed = amqp_get_channel_max(b->link.connection);
	return (amqp_channel_t)(agreed > 0 ? agreed : CHANNELS_WITHOUT_LIMIT);
}

static amqp_channel_t number_of(const struct kb_broker *b, const struct kb_amqp_question_channel *q)
{
	return (amqp_channel_t)(kb_amqp_highest_channel(b) - (q - b->questions));
}

/* Those that are left for questions above the channels of subscriptions; 0 when the broker allows that few. */
static size_t usable(const struct kb_broker *b)
{
	size_t others = KB_AMQP_FIRST_SUBSCRIPTION_CHANNEL - 1 + b->n_subscriptions, all = kb_amqp_highest_channel(b);
	size_t left = all > others ? all - others : 0;
	return left < KB_AMQP_QUESTION_CHANNELS ? left : KB_AMQP_QUESTION_CHANNELS;
}

static bool is_for(const struct kb_amqp_question_channel *q, struct kb_slice exchange)
{
	return q->used && kb_slice_equal(kb_buf_slice(&q->exchange), exchange);
}

/* The exchange's own, or else the one that was not used for longest: what went by that was heard of by now. */
static struct kb_amqp_question_channel *channel_for(struct kb_broker *b, struct kb_slice exchange)
{
	size_t n = usable(b);
	struct kb_amqp_question_channel *oldest = n ? &b->questions[0] : NULL;
	for (size_t i = 0; i < n; i++) {
		struct kb_amqp_question_channel *q = &b->questions[i];
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

/* The broker reads frames in their order, so the first question need not wait for its channel. */
bool kb_amqp_ask(struct kb_broker *b, const struct kb_message *m)
{
	struct kb_amqp_question_channel *q = channel_for(b, m->exchange);
	if (!q || q->exchange.failed)
		return false;
	q->used = ++b->questions_asked;
	if (!q->open)
		kb_amqp_put_method(&b->link.out, number_of(b, q), AMQP_CHANNEL_OPEN_METHOD, &(amqp_channel_open_t){{0, NULL}});
	q->open = true;
	return kb_amqp_put_publish(&b->link.out, number_of(b, q), m, (size_t)amqp_get_frame_max(b->link.connection));
}

struct kb_amqp_question_channel *kb_amqp_question_channel_on(struct kb_broker *b, amqp_channel_t channel)
{
	size_t i = (size_t)(kb_amqp_highest_channel(b) - channel);
	return channel <= kb_amqp_highest_channel(b) && i < KB_AMQP_QUESTION_CHANNELS && b->questions[i].open
			   ? &b->questions[i]
			   : NULL;
}

void kb_amqp_question_returned(struct kb_broker *b, struct kb_amqp_question_channel *q)
{
	struct kb_slice id = kb_headers_find(q->returned.m.properties, KB_SLICE_LITERAL("correlation-id"));
	if (id.n && b->events.request.unroutable)
		b->events.request.unroutable(b->events.context, kb_buf_slice(&q->exchange), id);
}

void kb_amqp_question_channel_closed(struct kb_broker *b, struct kb_amqp_question_channel *q, const char *why)
{
	struct kb_slice exchange = kb_buf_slice(&q->exchange);
	kb_log_limited(&b->bad_questions, KB_LOG_ERROR, "amqp: questions to exchange \"%.*s\" refused by %s: %s",
		KB_SLICE_FMT(exchange), b->address, why);
	kb_amqp_put_method(&b->link.out, number_of(b, q), AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	kb_amqp_content_clear(&q->returned);
	q->open = false;
	if (b->events.request.unroutable)
		b->events.request.unroutable(b->events.context, exchange, kb_slice(NULL, 0));
}

void kb_amqp_questions_clear(struct kb_broker *b)
{
	for (size_t i = 0; i < KB_AMQP_QUESTION_CHANNELS; i++) {
		b->questions[i].open = false;
		b->questions[i].used = 0;
		kb_amqp_content_clear(&b->questions[i].returned);
	}
}

void kb_amqp_questions_free(struct kb_broker *b)
{
	for (size_t i = 0; i < KB_AMQP_QUESTION_CHANNELS; i++) {
		kb_buf_free(&b->questions[i].exchange);
		kb_amqp_content_free(&b->questions[i].returned);
	}
}
