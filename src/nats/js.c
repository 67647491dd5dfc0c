#include "nats/js.h"

#include <inttypes.h>
#include <stdio.h>
#include "nats/headers.h"
#include "nats/number.h"
#include "nats/wire.h"
#include "core/json_rewrite.h"

/* -- replies -- */

/* Codes are those of HTTP. Of 400 to 499, where the mistake is ours, these are temporary: the same message is being
 * stored (409: its acknowledgement was late, and it was sent again), the server has too much to do (429), and the
 * storage of the account is full. */
static bool is_lasting(uint64_t code, uint64_t error)
{
	enum { CONFLICT = 409, TOO_MANY = 429, ACCOUNT_FULL = 10002 };
	return code >= 400 && code < 500 && code != CONFLICT && code != TOO_MANY && error != ACCOUNT_FULL;
}

static void read_error(struct kb_slice error, struct kb_nats_js_reply *reply)
{
	struct kb_buf text = {0};
	uint64_t code = kb_nats_number(kb_json_member(error, KB_SLICE_LITERAL("code")).raw);
	uint64_t number = kb_nats_number(kb_json_member(error, KB_SLICE_LITERAL("err_code")).raw);
	kb_json_text(kb_json_member(error, KB_SLICE_LITERAL("description")), &text);
	snprintf(reply->what, sizeof reply->what, "%.*s (code %" PRIu64 ", error %" PRIu64 ")",
		KB_SLICE_FMT(kb_buf_slice(&text)), code, number);
	reply->lasting = is_lasting(code, number);
	reply->error = (unsigned)number;
	kb_buf_free(&text);
}

/* Somebody else listens on the subject, too. */
static void note_foreign(struct kb_nats_js_reply *reply, struct kb_slice payload)
{
	snprintf(reply->what, sizeof reply->what, "reply does not come from a stream: %.*s", KB_SLICE_FMT(payload));
	reply->lasting = reply->foreign = true;
	reply->good = false;
}

struct kb_nats_js_reply kb_nats_js_reply_read(struct kb_slice payload, struct kb_slice properties)
{
	struct kb_nats_js_reply reply = {0};
	int status = kb_nats_headers_status(properties);
	struct kb_json_value error = kb_json_member(payload, KB_SLICE_LITERAL("error"));
	if (status == KB_NATS_NO_RESPONDERS) {
		snprintf(reply.what, sizeof reply.what, "no responders");
	} else if (error.type == KB_JSON_OBJECT) {
		read_error(error.raw, &reply);
	} else if (kb_json_get(payload, kb_slice(NULL, 0), '\0').type != KB_JSON_OBJECT) {
		note_foreign(&reply, payload);
		reply.lasting = status == 0;
	} else {
		reply.good = true;
	}
	return reply;
}

/* A stored message has a sequence, from 1 on. A duplicate with 0 is one whose first copy a cluster is still storing, or
 * has lost with its leader (nats-server up to 2.10, pull requests 5827 and 6415): its outcome is known when the
 * same message gets another reply, at the latest when the stream has forgotten its id. */
static void note_in_flight(struct kb_nats_js_reply *reply)
{
	snprintf(reply->what, sizeof reply->what, "acknowledged as a duplicate but not as stored");
	reply->good = false;
}

struct kb_nats_js_reply kb_nats_js_stored_read(struct kb_slice payload, struct kb_slice properties)
{
	struct kb_nats_js_reply reply = kb_nats_js_reply_read(payload, properties);
	if (reply.good && kb_json_member(payload, KB_SLICE_LITERAL("stream")).type != KB_JSON_STRING)
		note_foreign(&reply, payload);
	else if (reply.good && kb_nats_number(kb_json_member(payload, KB_SLICE_LITERAL("seq")).raw) == 0)
		note_in_flight(&reply);
	return reply;
}

/* -- requests -- */

void kb_nats_js_put_request(struct kb_buf *out, struct kb_buf *subject, struct kb_slice inbox, struct kb_buf *payload)
{
	if (subject->failed || payload->failed)
		out->failed = true;
	else
		kb_nats_wire_put_message(
			out, &(struct kb_message){.key = kb_buf_slice(subject), .reply = inbox, .payload = kb_buf_slice(payload)});
	kb_buf_free(subject);
	kb_buf_free(payload);
}

void kb_nats_js_put_streams_request(struct kb_buf *out, struct kb_slice subject, struct kb_slice inbox)
{
	struct kb_buf name = {0}, json = {0};
	kb_buf_append_slice(&name, KB_SLICE_LITERAL("$JS.API.STREAM.NAMES"));
	kb_buf_append_slice(&json, KB_SLICE_LITERAL("{\"subject\":"));
	kb_json_quote(subject, &json);
	kb_buf_append_byte(&json, '}');
	kb_nats_js_put_request(out, &name, inbox, &json);
}

bool kb_nats_js_no_stream(struct kb_slice payload, struct kb_slice properties)
{
	struct kb_nats_js_reply reply = kb_nats_js_reply_read(payload, properties);
	return reply.good && kb_json_count(kb_json_member(payload, KB_SLICE_LITERAL("streams"))) == 0;
}
