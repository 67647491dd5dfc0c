#include "kamailio/kazoo/request.h"

#include <core/dprint.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/number.h"
#include "core/reply_id.h"
#include "kamailio/glue/script.h"
#include "kamailio/kazoo/message.h"
#include "kamailio/kazoo/reception.h"
#include "kamailio/kazoo/requester.h"
#include "kamailio/kazoo/settings.h"
#include "kamailio/kazoo/stats.h"
#include "kamailio/kazoo/zones.h"

enum { SECONDS_BELOW = 100 /* a timeout below this is in seconds, as the manual says, else in ms, as it is used */ };

static pv_spec_t timeout_variable;
static bool has_timeout_variable;

/* The last reply in this process, as routes see it: $kzR. */
static struct kb_buf result;
static bool have_result;

/* -- the timeout -- */

bool kz_request_read_variable(const char *parameter, const char *name, pv_spec_t *variable, bool *has)
{
	if (!name || !name[0])
		return true;
	str text = {(char *)(uintptr_t)name, (int)strlen(name)};
	*has = pv_parse_spec(&text, variable) != NULL;
	if (!*has)
		LM_ERR("%s: \"%s\" must be a pseudo-variable like $avp(name)\n", parameter, name);
	return *has;
}

bool kz_request_check(void)
{
	return kz_request_read_variable(
		"amqp_query_timeout_avp", kz_settings()->query_timeout_avp, &timeout_variable, &has_timeout_variable);
}

/* Variables often hold numbers as text: those that come from headers do. 0: no number that can be a timeout. */
static uint64_t number_in(const pv_value_t *value)
{
	uint64_t number = 0;
	if (value->flags & PV_VAL_INT)
		return value->ri > 0 ? (uint64_t)value->ri : 0;
	return kb_number_read(kb_str_to_slice(&value->rs), INT32_MAX, &number) ? number : 0;
}

/* A $var that nothing was assigned to is the integer 0, and sets no timeout. */
static bool is_mistaken(const pv_value_t *value, uint64_t number)
{
	bool unset = value->flags & PV_VAL_INT && value->ri == 0;
	return number == 0 && value->flags & PV_VAL_STR && !unset;
}

/* What amqp_query_timeout_avp says; 0: nothing. */
static uint64_t timeout_of_variable(struct sip_msg *msg)
{
	static struct kb_log_limit no_number;
	pv_value_t value;
	if (!has_timeout_variable || pv_get_spec_value(msg, &timeout_variable, &value) < 0 || value.flags & PV_VAL_NULL)
		return 0;
	uint64_t number = number_in(&value);
	if (is_mistaken(&value, number))
		kb_log_limited(&no_number, KB_LOG_WARNING, "amqp_query_timeout_avp: ignoring \"%.*s\": not a positive number",
			KB_SLICE_FMT(kb_str_to_slice(&value.rs)));
	return number < SECONDS_BELOW ? number * 1000 : number;
}

static uint64_t timeout_ms(struct sip_msg *msg)
{
	const struct kz_settings *s = kz_settings();
	uint64_t ms = timeout_of_variable(msg);
	return ms ? ms : (uint64_t)s->query_timeout_sec * 1000 + (uint64_t)s->query_timeout_micro / 1000;
}

/* -- a request -- */

static bool build_message(struct kb_request *r, size_t slot)
{
	const struct kz_request_parameters *p = r->parameters;
	char id[KB_UUID_CHARS];
	kb_reply_id_uuid(id, slot);
	struct kz_message_sender sender = {.reply_address = kz_requester_address(), .id = kb_slice(id, sizeof id)};
	return kz_message_build(r->function, p->exchange, p->routing_key, p->payload, p->headers, sender, &r->message);
}

static bool is_in_primary_zone(const struct kb_request *r)
{
	size_t zone = r->message.origin.broker;
	if (zone != KZ_PRIMARY)
		LM_ERR("%s: request refused, requests go to zone %s only, not to %s\n", r->function, kz_zone(KZ_PRIMARY)->name,
			kz_zone(zone)->name);
	return zone == KZ_PRIMARY;
}

static bool is_open(const struct kb_request *r)
{
	static struct kb_log_limit closed;
	char why[KB_LINE_BYTES];
	if (kb_replies_are_open(kz_requester_replies()))
		return true;
	kb_replies_why_closed(kz_requester_replies(), why);
	kb_log_limited(&closed, KB_LOG_ERROR, "%s: request refused, %s", r->function, why);
	return false;
}

/* The payload has a Msg-ID: its own, or the one that was added. */
static bool find_id(struct kb_request *r)
{
	static struct kb_buf id;
	kb_buf_clear(&id);
	kb_json_text(kb_json_member(r->message.payload, KB_SLICE_LITERAL("Msg-ID")), &id);
	r->id = kb_buf_slice(&id);
	if (id.n > 0 && id.n <= KB_REPLY_ID_MAX && !id.failed)
		return true;
	LM_ERR("%s: Msg-ID of %zu bytes refused: must be a string of 1 to %d bytes\n", r->function, id.n, KB_REPLY_ID_MAX);
	return false;
}

static bool add_properties(struct kb_request *r)
{
	static struct kb_buf properties;
	kb_buf_clear(&properties);
	kb_buf_append_slice(&properties, r->message.properties);
	kb_headers_add(&properties, KB_SLICE_LITERAL("reply-to"), kz_requester_address());
	kb_headers_add(&properties, KB_SLICE_LITERAL("correlation-id"), r->id);
	kb_headers_add(&properties, KB_SLICE_LITERAL("delivery-mode"), KB_SLICE_LITERAL("1"));
	if (!kb_headers_find(r->message.properties, KB_SLICE_LITERAL("mandatory"))
			 .p) /* amqp_publish_properties may say 0 */
		kb_headers_add(&properties, KB_SLICE_LITERAL("mandatory"), KB_SLICE_LITERAL("1"));
	r->message.properties = kb_buf_slice(&properties);
	return !properties.failed;
}

static bool build(struct kb_request *r, size_t slot)
{
	if (!build_message(r, slot) || !is_in_primary_zone(r) || !is_open(r) || !find_id(r) || !add_properties(r))
		return false;
	r->deadline_ms = kb_clock_deadline_ms((int64_t)timeout_ms(r->msg));
	r->message.origin = (struct kb_origin){.tag = (uint64_t)r->deadline_ms, .flags = KB_EXPIRES};
	return true;
}

static bool fits(const struct kb_request *r)
{
	return kz_message_fits(r->function, &r->message);
}

static bool send_message(const struct kb_request *r)
{
	return kz_message_send(r->function, &r->message) == 1;
}

int kz_request_refuse(void)
{
	kz_request_forget_result();
	kb_counts_add(KZ_QUERIES_REFUSED);
	return KZ_FAILED;
}

static int refuse(const struct kb_request *r)
{
	(void)r;
	return kz_request_refuse();
}

struct kb_request kz_request_new(const char *function, struct sip_msg *msg, struct kz_request_parameters *parameters)
{
	static const struct kb_request_kind kind = {.replies = kz_requester_replies,
		.build = build,
		.fits = fits,
		.send = send_message,
		.refuse = refuse,
		.log_too_many = kz_requester_log_too_many,
		.ended = kz_request_ended};
	return (struct kb_request){.kind = &kind, .function = function, .msg = msg, .parameters = parameters};
}

/* -- its end -- */

static bool set_result(const char *function, struct kb_slice routing_key, struct kb_slice reply)
{
	static struct kb_log_limit unreadable;
	struct kb_json_error error;
	kb_buf_clear(&result);
	have_result = kz_reception_payload(KZ_PRIMARY, reply, &result, &error);
	if (!have_result)
		kb_log_limited(&unreadable, KB_LOG_WARNING, "%s: discarding reply to \"%.*s\": %s at byte %zu of %zu: %.*s",
			function, KB_SLICE_FMT(routing_key), error.what ? error.what : "unreadable payload", error.at, reply.n,
			KB_SLICE_FMT(reply));
	return have_result;
}

static int failed(enum kb_request_column end, int64_t started_us, int outcome)
{
	kb_counts_request_ended(KZ_QUERIES, end, started_us);
	return outcome;
}

static int received(const char *function, struct kb_slice routing_key, struct kb_slice reply, int64_t started_us)
{
	bool good = set_result(function, routing_key, reply);
	kb_counts_request_ended(KZ_QUERIES, good ? KB_REQUESTS_REPLIED : KB_REQUESTS_UNREADABLE, started_us);
	return good ? KZ_REPLIED : KZ_FAILED;
}

int kz_request_ended(const char *function, struct kb_slice routing_key, enum kb_reply_state state,
	struct kb_slice reply, int64_t started_us)
{
	static struct kb_log_limit timeouts, losses, unroutable, too_large;
	switch (state) {
	case KB_REPLY_RECEIVED: return received(function, routing_key, reply, started_us);
	case KB_REPLY_TIMEOUT:
		kb_log_limited(
			&timeouts, KB_LOG_WARNING, "%s: request to \"%.*s\" timed out", function, KB_SLICE_FMT(routing_key));
		return failed(KB_REQUESTS_TIMEOUT, started_us, KZ_TIMEOUT);
	case KB_REPLY_UNROUTABLE:
		kb_log_limited(&unroutable, KB_LOG_WARNING, "%s: request to \"%.*s\" returned, no queue is bound for it",
			function, KB_SLICE_FMT(routing_key));
		return failed(KB_REQUESTS_UNROUTABLE, started_us, KZ_UNROUTABLE);
	case KB_REPLY_TOO_LARGE:
		kb_log_limited(&too_large, KB_LOG_ERROR, "%s: discarding reply to \"%.*s\": %zu bytes, the limit is %zu bytes",
			function, KB_SLICE_FMT(routing_key), reply.n, kb_replies_room(kz_requester_replies()));
		return failed(KB_REQUESTS_TOO_LARGE, started_us, KZ_TOO_LARGE);
	default:
		kb_log_limited(&losses, KB_LOG_WARNING,
			"%s: connection to the broker lost before the reply to \"%.*s\" arrived", function,
			KB_SLICE_FMT(routing_key));
		return failed(KB_REQUESTS_LOST, started_us, KZ_FAILED);
	}
}

void kz_request_forget_result(void)
{
	have_result = false;
}

int kz_request_pv_result(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	if (!have_result)
		return pv_get_null(msg, parameter, value);
	return kb_script_set_text(value, kb_buf_slice(&result));
}
