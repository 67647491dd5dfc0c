#include "nats/consumer.h"

#include <inttypes.h>
#include <stdio.h>
#include "nats/js.h"
#include "nats/number.h"
#include "nats/wire.h"
#include "core/json_rewrite.h"

/* -- requests -- */

static void put_number(struct kb_buf *json, const char *key, int64_t value)
{
	if (value)
		kb_buf_printf(json, ",\"%s\":%" PRId64, key, value);
}

static int64_t nanoseconds(int ms)
{
	return (int64_t)ms * 1000000;
}

/* The fields that `d` sets, as edits of a consumer's configuration; the texts of numbers lie in `numbers`. */
enum { FIELDS = 5, NUMBER_CHARS = 24 };

static size_t set_fields(const struct kb_durable *d, struct kb_json_edit *edits, char (*numbers)[NUMBER_CHARS])
{
	const struct {
		const char *key, *text;
		int64_t number;
	} all[FIELDS] = {{"filter_subject", d->filter, 0}, {"deliver_policy", d->deliver, 0},
		{"ack_wait", NULL, nanoseconds(d->ack_wait_ms)}, {"max_deliver", NULL, d->max_deliver},
		{"max_ack_pending", NULL, d->max_ack_pending}};
	size_t n = 0;
	for (size_t i = 0; i < FIELDS; i++) {
		const char *value = all[i].text;
		if (all[i].number) {
			snprintf(numbers[i], NUMBER_CHARS, "%" PRId64, all[i].number);
			value = numbers[i];
		}
		if (value)
			edits[n++] =
				(struct kb_json_edit){kb_slice_from(all[i].key), kb_slice_from(value), all[i].number != 0, KB_JSON_SET};
	}
	return n;
}

bool kb_nats_consumer_differs(const struct kb_durable *durable, struct kb_slice config)
{
	struct kb_json_edit edits[FIELDS];
	char numbers[FIELDS][NUMBER_CHARS];
	struct kb_buf text = {0};
	bool differs = false;
	size_t n = set_fields(durable, edits, numbers);
	for (size_t i = 0; i < n; i++) {
		kb_buf_clear(&text);
		kb_json_text(kb_json_member(config, edits[i].key), &text);
		differs = differs || !kb_slice_equal(kb_buf_slice(&text), edits[i].value);
	}
	kb_buf_free(&text);
	return differs;
}

void kb_nats_consumer_put_create(
	struct kb_buf *out, const struct kb_durable *durable, struct kb_slice config, struct kb_slice inbox)
{
	struct kb_json_edit edits[FIELDS];
	struct kb_json_error error;
	char numbers[FIELDS][NUMBER_CHARS];
	struct kb_buf subject = {0}, json = {0}, fresh = {0};
	kb_buf_printf(&subject, "$JS.API.CONSUMER.DURABLE.CREATE.%s.%s", durable->stream, durable->name);
	kb_buf_append_slice(&fresh, KB_SLICE_LITERAL("{\"ack_policy\":\"explicit\",\"durable_name\":"));
	kb_json_quote(kb_slice_from(durable->name), &fresh);
	kb_buf_append_byte(&fresh, '}');
	kb_buf_append_slice(&json, KB_SLICE_LITERAL("{\"stream_name\":"));
	kb_json_quote(kb_slice_from(durable->stream), &json);
	kb_buf_append_slice(&json, KB_SLICE_LITERAL(",\"config\":"));
	size_t n = set_fields(durable, edits, numbers);
	if (!config.n || !kb_json_rewrite(config, edits, n, &json, &error)) /* a server may send anything */
		kb_json_rewrite(kb_buf_slice(&fresh), edits, n, &json, &error);
	kb_buf_append_byte(&json, '}');
	kb_buf_free(&fresh);
	kb_nats_js_put_request(out, &subject, inbox, &json);
}

void kb_nats_consumer_put_info(struct kb_buf *out, const struct kb_durable *durable, struct kb_slice inbox)
{
	struct kb_buf subject = {0}, json = {0};
	kb_buf_printf(&subject, "$JS.API.CONSUMER.INFO.%s.%s", durable->stream, durable->name);
	kb_nats_js_put_request(out, &subject, inbox, &json);
}

void kb_nats_consumer_put_pull(struct kb_buf *out, const struct kb_durable *durable, struct kb_slice inbox,
	unsigned batch, int expires_ms, int heartbeat_ms)
{
	struct kb_buf subject = {0}, json = {0};
	kb_buf_printf(&subject, "$JS.API.CONSUMER.MSG.NEXT.%s.%s", durable->stream, durable->name);
	kb_buf_printf(&json, "{\"batch\":%u", batch);
	put_number(&json, "expires", nanoseconds(expires_ms));
	put_number(&json, "idle_heartbeat", nanoseconds(heartbeat_ms));
	kb_buf_append_byte(&json, '}');
	kb_nats_js_put_request(out, &subject, inbox, &json);
}

/* -- messages -- */

/* $JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.CONSUMER_SEQUENCE.TIME.PENDING, or with DOMAIN.ACCOUNT after ACK and one
 * more word at the end. */
bool kb_nats_consumer_delivery_read(struct kb_slice ack_subject, struct kb_nats_consumer_delivery *delivery)
{
	enum { SHORT = 9, LONG = 11, MOST = 16 };
	struct kb_slice words[MOST], rest = ack_subject;
	size_t n = 0;
	while (rest.n && n < MOST) {
		const char *dot = memchr(rest.p, '.', rest.n);
		words[n++] = kb_slice(rest.p, dot ? (size_t)(dot - rest.p) : rest.n);
		rest = dot ? kb_slice(dot + 1, rest.n - words[n - 1].n - 1) : kb_slice(NULL, 0);
	}
	if (n < SHORT || (n > SHORT && n < LONG) || !kb_slice_equal(words[0], KB_SLICE_LITERAL("$JS")) ||
		!kb_slice_equal(words[1], KB_SLICE_LITERAL("ACK")))
		return false;
	const struct kb_slice *w = words + (n >= LONG ? 4 : 2);
	*delivery = (struct kb_nats_consumer_delivery){.stream = w[0],
		.consumer = w[1],
		.delivered = kb_nats_number(w[2]),
		.sequence = kb_nats_number(w[3]),
		.pending = kb_nats_number(w[6])};
	return delivery->delivered > 0;
}

static void put(struct kb_buf *out, struct kb_slice subject, struct kb_slice payload)
{
	kb_nats_wire_put_message(out, &(struct kb_message){.key = subject, .payload = payload});
}

void kb_nats_consumer_put_verdict(
	struct kb_buf *out, struct kb_slice ack_subject, enum kb_outcome outcome, unsigned delay_ms)
{
	char delayed[64];
	struct kb_slice payload = outcome == KB_DONE       ? KB_SLICE_LITERAL("+ACK")
							  : outcome == KB_REJECTED ? KB_SLICE_LITERAL("+TERM")
													   : KB_SLICE_LITERAL("-NAK");
	if (outcome == KB_REQUEUE && delay_ms) {
		int n = snprintf(delayed, sizeof delayed, "-NAK {\"delay\":%" PRIu64 "}", (uint64_t)delay_ms * 1000000);
		payload = kb_slice(delayed, (size_t)n);
	}
	put(out, ack_subject, payload);
}

void kb_nats_consumer_put_progress(struct kb_buf *out, struct kb_slice ack_subject)
{
	put(out, ack_subject, KB_SLICE_LITERAL("+WPI"));
}
