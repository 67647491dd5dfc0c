#include "amqp/reply_queue.h"

#include <stdio.h>
#include "core/json.h"

enum { READ_FACTOR = 4 };

static const struct kb_slice correlation_id = {"correlation-id", sizeof "correlation-id" - 1};

/* It goes into every message, and changes only with a connection. */
struct kb_slice kb_amqp_reply_queue_address(const struct kb_replies *replies, const char *prefix)
{
	static char address[KB_AMQP_REPLY_ADDRESS_BYTES];
	static size_t n;
	static uint32_t written;
	uint32_t generation = kb_replies_generation(replies);
	if (n == 0 || written != generation)
		n = (size_t)snprintf(address, sizeof address, "%.220s-targeted-%u", prefix, generation);
	written = generation;
	return kb_slice(address, n);
}

static const struct kb_subscription *subscription(void *context)
{
	struct kb_amqp_reply_queue *q = context;
	kb_replies_next_generation(q->replies);
	q->key = kb_amqp_reply_queue_address(q->replies, q->prefix).p;
	q->subscription =
		(struct kb_subscription){.exchange = {.name = KB_AMQP_REPLY_EXCHANGE, .type = "direct", .as_it_is = true},
			.queue = {.name = q->key, .exclusive = true, .auto_delete = true},
			.routing = &q->key,
			.n_routing = 1,
			.no_ack = true,
			.event_key = "",
			.event_subkey = ""};
	return &q->subscription;
}

static struct kb_slice request_id(const struct kb_message *request)
{
	struct kb_slice rest = request->properties, name, value, id = {NULL, 0};
	while (kb_headers_next(&rest, &name, &value))
		if (kb_slice_equal(name, correlation_id))
			id = value;
	return id;
}

static size_t reply_ids(void *context, const struct kb_message *reply, struct kb_slice ids[KB_REQUESTER_IDS])
{
	struct kb_amqp_reply_queue *q = context;
	struct kb_json_value member = kb_json_member(reply->payload, KB_SLICE_LITERAL("Msg-ID"));
	struct kb_slice correlation = kb_headers_find(reply->properties, correlation_id);
	size_t n = 0;
	kb_buf_clear(&q->id);
	if (member.type == KB_JSON_STRING || member.type == KB_JSON_NUMBER)
		kb_json_text(member, &q->id);
	if (q->id.n)
		ids[n++] = kb_buf_slice(&q->id);
	if (correlation.n)
		ids[n++] = correlation;
	return n;
}

const struct kb_requester_bus kb_amqp_reply_queue = {.subscription = subscription,
	.request_id = request_id,
	.reply_ids = reply_ids,
	.unsent = KB_REPLY_UNROUTABLE,
	.read_factor = READ_FACTOR};
