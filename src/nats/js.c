#include "nats/js.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "core/json.h"
#include "core/uuid.h"

/* -- reading -- */

uint64_t kb_nats_number(struct kb_slice text)
{
	uint64_t number = 0;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9' || text.n > 18)
			return 0;
		number = number * 10 + (uint64_t)(text.p[i] - '0');
	}
	return number;
}

int kb_nats_status(struct kb_slice properties)
{
	uint64_t status = kb_nats_number(kb_headers_find(properties, KB_SLICE_LITERAL("status")));
	return status < 1000 ? (int)status : 0;
}

/* Codes are those of HTTP. Of 400 to 499, where the mistake is ours, these pass: the same message is being stored (409:
 * its acknowledgement was late, and it was sent again), the server has too much to do (429), and the storage of the
 * account is full. */
static bool is_lasting(uint64_t code, uint64_t error)
{
	enum { CONFLICT = 409, TOO_MANY = 429, ACCOUNT_FULL = 10002 };
	return code >= 400 && code < 500 && code != CONFLICT && code != TOO_MANY && error != ACCOUNT_FULL;
}

static void read_error(struct kb_slice error, struct kb_nats_answer *answer)
{
	struct kb_buf text = {0};
	uint64_t code = kb_nats_number(kb_json_member(error, KB_SLICE_LITERAL("code")).raw);
	uint64_t number = kb_nats_number(kb_json_member(error, KB_SLICE_LITERAL("err_code")).raw);
	kb_json_text(kb_json_member(error, KB_SLICE_LITERAL("description")), &text);
	snprintf(answer->what, sizeof answer->what, "%.*s (code %" PRIu64 ", error %" PRIu64 ")",
		KB_SLICE_FMT(kb_buf_slice(&text)), code, number);
	answer->lasting = is_lasting(code, number);
	answer->error = (unsigned)number;
	kb_buf_free(&text);
}

/* Somebody else listens on the subject, too. */
static void note_foreign(struct kb_nats_answer *answer, struct kb_slice payload)
{
	snprintf(answer->what, sizeof answer->what, "the answer is not that of a stream: %.*s", KB_SLICE_FMT(payload));
	answer->lasting = answer->foreign = true;
	answer->good = false;
}

struct kb_nats_answer kb_nats_answer_read(struct kb_slice payload, struct kb_slice properties)
{
	struct kb_nats_answer answer = {0};
	int status = kb_nats_status(properties);
	struct kb_json_value error = kb_json_member(payload, KB_SLICE_LITERAL("error"));
	if (status == KB_NATS_NO_RESPONDERS) {
		snprintf(answer.what, sizeof answer.what, "nobody takes it: no stream, no leader of it, or no JetStream");
	} else if (error.type == KB_JSON_OBJECT) {
		read_error(error.raw, &answer);
	} else if (kb_json_get(payload, kb_slice(NULL, 0), '\0').type != KB_JSON_OBJECT) {
		note_foreign(&answer, payload);
		answer.lasting = status == 0;
	} else {
		answer.good = true;
	}
	return answer;
}

/* What is stored has a sequence, from 1 on. A duplicate with 0 is one whose first copy a cluster is still storing, or
 * has lost with its leader (nats-server up to 2.10, pull requests 5827 and 6415): what becomes of it is known when the
 * same message gets another answer, at the latest when the stream has forgotten its id. */
static void note_under_way(struct kb_nats_answer *answer)
{
	snprintf(answer->what, sizeof answer->what, "the stream knows its id, and does not say that it has stored it");
	answer->good = false;
}

struct kb_nats_answer kb_nats_stored_answer_read(struct kb_slice payload, struct kb_slice properties)
{
	struct kb_nats_answer answer = kb_nats_answer_read(payload, properties);
	if (answer.good && kb_json_member(payload, KB_SLICE_LITERAL("stream")).type != KB_JSON_STRING)
		note_foreign(&answer, payload);
	else if (answer.good && kb_nats_number(kb_json_member(payload, KB_SLICE_LITERAL("seq")).raw) == 0)
		note_under_way(&answer);
	return answer;
}

bool kb_nats_no_stream(struct kb_slice payload, struct kb_slice properties)
{
	struct kb_nats_answer answer = kb_nats_answer_read(payload, properties);
	return answer.good && kb_json_count(kb_json_member(payload, KB_SLICE_LITERAL("streams"))) == 0;
}

/* $JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.CONSUMER_SEQUENCE.TIME.PENDING, or with DOMAIN.ACCOUNT after ACK and one
 * more word at the end. */
bool kb_nats_stored_read(struct kb_slice ack_subject, struct kb_nats_stored *stored)
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
	*stored = (struct kb_nats_stored){.stream = w[0],
		.consumer = w[1],
		.delivered = kb_nats_number(w[2]),
		.sequence = kb_nats_number(w[3]),
		.pending = kb_nats_number(w[6])};
	return stored->delivered > 0;
}

/* -- writing -- */

void kb_nats_inbox(const char *prefix, char to[KB_NATS_INBOX_BYTES])
{
	char id[KB_SHORT_ID_CHARS];
	kb_short_id(id);
	snprintf(to, KB_NATS_INBOX_BYTES, "%s.%.*s", prefix ? prefix : "_INBOX", KB_SHORT_ID_CHARS, id);
}

static void put(struct kb_buf *out, struct kb_slice subject, struct kb_slice inbox, struct kb_slice payload)
{
	kb_nats_put_message(out, &(struct kb_message){.key = subject, .reply = inbox, .payload = payload});
}

/* Finishes a request whose subject and payload were built in buffers, and frees them. */
static void put_built(struct kb_buf *out, struct kb_buf *subject, struct kb_slice inbox, struct kb_buf *payload)
{
	if (subject->failed || payload->failed)
		out->failed = true;
	else
		put(out, kb_buf_slice(subject), inbox, kb_buf_slice(payload));
	kb_buf_free(subject);
	kb_buf_free(payload);
}

static void put_number(struct kb_buf *json, const char *key, int64_t value)
{
	if (value)
		kb_buf_printf(json, ",\"%s\":%" PRId64, key, value);
}

static int64_t nanoseconds(int ms)
{
	return (int64_t)ms * 1000000;
}

/* The fields of a consumer's configuration that are said, as edits of it; the numbers' texts lie in `numbers`. */
enum { FIELDS = 5, NUMBER_CHARS = 24 };

static size_t said(const struct kb_durable *d, struct kb_json_edit *edits, char (*numbers)[NUMBER_CHARS])
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

bool kb_nats_durable_differs(const struct kb_durable *durable, struct kb_slice config)
{
	struct kb_json_edit edits[FIELDS];
	char numbers[FIELDS][NUMBER_CHARS];
	struct kb_buf text = {0};
	bool differs = false;
	size_t n = said(durable, edits, numbers);
	for (size_t i = 0; i < n; i++) {
		kb_buf_clear(&text);
		kb_json_text(kb_json_member(config, edits[i].key), &text);
		differs = differs || !kb_slice_equal(kb_buf_slice(&text), edits[i].value);
	}
	kb_buf_free(&text);
	return differs;
}

void kb_nats_put_durable(
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
	size_t n = said(durable, edits, numbers);
	if (!config.n || !kb_json_rewrite(config, edits, n, &json, &error)) /* a server may answer with anything */
		kb_json_rewrite(kb_buf_slice(&fresh), edits, n, &json, &error);
	kb_buf_append_byte(&json, '}');
	kb_buf_free(&fresh);
	put_built(out, &subject, inbox, &json);
}

void kb_nats_put_durable_query(struct kb_buf *out, const struct kb_durable *durable, struct kb_slice inbox)
{
	struct kb_buf subject = {0}, json = {0};
	kb_buf_printf(&subject, "$JS.API.CONSUMER.INFO.%s.%s", durable->stream, durable->name);
	put_built(out, &subject, inbox, &json);
}

void kb_nats_put_pull(struct kb_buf *out, const struct kb_durable *durable, struct kb_slice inbox, unsigned batch,
	int expires_ms, int heartbeat_ms)
{
	struct kb_buf subject = {0}, json = {0};
	kb_buf_printf(&subject, "$JS.API.CONSUMER.MSG.NEXT.%s.%s", durable->stream, durable->name);
	kb_buf_printf(&json, "{\"batch\":%u", batch);
	put_number(&json, "expires", nanoseconds(expires_ms));
	put_number(&json, "idle_heartbeat", nanoseconds(heartbeat_ms));
	kb_buf_append_byte(&json, '}');
	put_built(out, &subject, inbox, &json);
}

void kb_nats_put_streams_query(struct kb_buf *out, struct kb_slice subject, struct kb_slice inbox)
{
	struct kb_buf name = {0}, json = {0};
	kb_buf_append_slice(&name, KB_SLICE_LITERAL("$JS.API.STREAM.NAMES"));
	kb_buf_append_slice(&json, KB_SLICE_LITERAL("{\"subject\":"));
	kb_json_quote(subject, &json);
	kb_buf_append_byte(&json, '}');
	put_built(out, &name, inbox, &json);
}

void kb_nats_put_verdict(struct kb_buf *out, struct kb_slice ack_subject, enum kb_outcome outcome, unsigned delay_ms)
{
	char delayed[64];
	struct kb_slice payload = outcome == KB_DONE       ? KB_SLICE_LITERAL("+ACK")
							  : outcome == KB_REJECTED ? KB_SLICE_LITERAL("+TERM")
													   : KB_SLICE_LITERAL("-NAK");
	if (outcome == KB_REQUEUE && delay_ms) {
		int n = snprintf(delayed, sizeof delayed, "-NAK {\"delay\":%" PRIu64 "}", (uint64_t)delay_ms * 1000000);
		payload = kb_slice(delayed, (size_t)n);
	}
	put(out, ack_subject, kb_slice(NULL, 0), payload);
}

void kb_nats_put_progress(struct kb_buf *out, struct kb_slice ack_subject)
{
	put(out, ack_subject, kb_slice(NULL, 0), KB_SLICE_LITERAL("+WPI"));
}
