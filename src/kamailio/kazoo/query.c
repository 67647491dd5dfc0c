#include "kamailio/kazoo/query.h"

#include <core/dprint.h>
#include <core/pt.h>

#include <errno.h>
#include <unistd.h>

#include "bus/questions.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/uuid.h"
#include "kamailio/glue/script.h"
#include "kamailio/kazoo/ask.h"
#include "kamailio/kazoo/event.h"
#include "kamailio/kazoo/message.h"
#include "kamailio/kazoo/settings.h"
#include "kamailio/kazoo/stats.h"
#include "kamailio/kazoo/zones.h"

enum {
	ANSWER_MAX = 1024 * 1024, /* bytes of address space for each question; memory is taken as answers need it */
	MOST_DEFAULT = 50,        /* questions, as the manual has it for amqp_max_channels */
	SECONDS_BELOW = 100       /* a timeout below this is in seconds, as the manual says, else in ms, as it is used */
};

static struct kb_replies *replies;
static pv_spec_t timeout_variable, result_variable;
static bool has_timeout_variable, has_result_variable;

/* The last answer in this process, as routes see it: $kzR. */
static struct kb_buf result;
static bool have_result;

struct kb_replies *kz_replies(void)
{
	return replies;
}

const char *kz_reply_prefix(void)
{
	static char prefix[256];
	char random[KB_UUID_SHORT_CHARS];
	if (!prefix[0]) { /* the main process, from which all inherit it */
		kb_uuid_make_short(random);
		snprintf(prefix, sizeof prefix, "kamailio@%.180s-<%d>-%.*s", kz_settings()->node_hostname, (int)getpid(),
			(int)sizeof random, random);
	}
	return prefix;
}

static bool read_variable(const char *parameter, const char *name, pv_spec_t *variable, bool *has)
{
	if (!name || !name[0])
		return true;
	str text = {(char *)(uintptr_t)name, (int)strlen(name)};
	*has = pv_parse_spec(&text, variable) != NULL;
	if (!*has)
		LM_ERR("%s: \"%s\" must be a pseudo-variable like $avp(name)\n", parameter, name);
	return *has;
}

bool kz_query_check(void)
{
	const struct kz_settings *s = kz_settings();
	if (!read_variable("amqp_query_timeout_avp", s->query_timeout_avp, &timeout_variable, &has_timeout_variable) ||
		!read_variable("amqp_result_avp", s->result_avp, &result_variable, &has_result_variable))
		return false;
	if (!has_result_variable || pv_is_w(&result_variable))
		return true;
	LM_ERR("amqp_result_avp: \"%s\" must be a pseudo-variable that can be written\n", s->result_avp);
	return false;
}

/* Unless the configuration says otherwise, no process is refused while each has one: they ask one at a time. */
static size_t most_questions(void)
{
	int set = kz_settings()->max_channels, processes = get_max_procs();
	if (set)
		return (size_t)set;
	return processes > MOST_DEFAULT ? (size_t)processes : MOST_DEFAULT;
}

bool kz_query_init(void)
{
	size_t processes = (size_t)get_max_procs(), claimed = most_questions();
	kz_reply_prefix();
	replies = kb_replies_create(processes + claimed, processes, (size_t)kz_query_processes(), ANSWER_MAX);
	if (!replies) {
		LM_ERR("amqp_max_channels: no shared memory for %zu questions: %s\n", processes + claimed, strerror(errno));
		return false;
	}
	kb_replies_limit(replies, claimed);
	kb_counts_set_replies(replies);
	return true;
}

void kz_log_too_many(const char *function)
{
	static struct kb_log_limit limit;
	kb_log_limited(&limit, KB_LOG_ERROR, "%s: fails at once, all %zu questions of amqp_max_channels are under way",
		function, most_questions());
}

/* -- asking -- */

/* Variables often hold numbers as text: those that come from headers do. 0: no number that can be a timeout. */
static uint64_t number_in(const pv_value_t *value)
{
	uint64_t number = 0;
	if (value->flags & PV_VAL_INT)
		return value->ri > 0 ? (uint64_t)value->ri : 0;
	for (int i = 0; i < value->rs.len; i++) {
		if (value->rs.s[i] < '0' || value->rs.s[i] > '9' || number > INT32_MAX / 10)
			return 0;
		number = number * 10 + (uint64_t)(value->rs.s[i] - '0');
	}
	return number;
}

/* A $var that nothing was assigned to is the integer 0, which asks for nothing. */
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
		kb_log_limited(&no_number, KB_LOG_WARNING, "amqp_query_timeout_avp: \"%.*s\" is no positive number: ignored",
			KB_SLICE_FMT(kb_slice_of_str(&value.rs)));
	return number < SECONDS_BELOW ? number * 1000 : number;
}

static uint64_t timeout_ms(struct sip_msg *msg)
{
	const struct kz_settings *s = kz_settings();
	uint64_t ms = timeout_of_variable(msg);
	return ms ? ms : (uint64_t)s->query_timeout_sec * 1000 + (uint64_t)s->query_timeout_micro / 1000;
}

static bool build(struct kz_question *q, const char *function, struct sip_msg *msg, struct kb_slice exchange,
	struct kb_slice routing_key, struct kb_slice payload, struct kb_slice headers)
{
	static struct kb_log_limit closed;
	static struct kb_buf id, properties;
	if (!kz_message_build(function, exchange, routing_key, payload, headers, &q->message))
		return false;
	if (q->message.origin.broker != KZ_PRIMARY) {
		LM_ERR("%s: asks in the zone %s only, not in %s\n", function, kz_zone(KZ_PRIMARY)->name,
			kz_zone(q->message.origin.broker)->name);
		return false;
	}
	if (!kb_replies_are_open(replies)) {
		char why[KB_LINE_BYTES];
		kb_replies_why_closed(replies, why);
		kb_log_limited(&closed, KB_LOG_ERROR, "%s: fails at once, %s", function, why);
		return false;
	}
	kb_buf_clear(&id);
	kb_buf_clear(&properties);
	kb_json_text(kb_json_member(q->message.payload, KB_SLICE_LITERAL("Msg-ID")), &id);
	if (id.n == 0 || id.n > KB_REPLY_ID_MAX || id.failed) {
		LM_ERR("%s: Msg-ID of %zu bytes must be a text of 1 to %d\n", function, id.n, KB_REPLY_ID_MAX);
		return false;
	}
	kb_buf_append_slice(&properties, q->message.properties);
	kb_headers_add(&properties, KB_SLICE_LITERAL("reply-to"), kb_reply_address(replies, kz_reply_prefix()));
	kb_headers_add(&properties, KB_SLICE_LITERAL("correlation-id"), kb_buf_slice(&id));
	kb_headers_add(&properties, KB_SLICE_LITERAL("delivery-mode"), KB_SLICE_LITERAL("1"));
	if (!kb_headers_find(q->message.properties, KB_SLICE_LITERAL("mandatory"))
			 .p) /* amqp_publish_properties may say 0 */
		kb_headers_add(&properties, KB_SLICE_LITERAL("mandatory"), KB_SLICE_LITERAL("1"));
	q->id = kb_buf_slice(&id);
	q->deadline_ms = kb_deadline_ms(timeout_ms(msg));
	q->message.properties = kb_buf_slice(&properties);
	q->message.origin = (struct kb_origin){.tag = q->deadline_ms, .flags = KB_EXPIRES};
	return !properties.failed;
}

int kz_ask_refuse(void)
{
	kz_forget_result();
	kb_counts_add(KZ_QUERIES_REFUSED);
	return KZ_FAILED;
}

bool kz_ask_build(struct kz_question *q, const char *function, struct sip_msg *msg, struct kb_slice exchange,
	struct kb_slice routing_key, struct kb_slice payload, struct kb_slice headers)
{
	bool good = build(q, function, msg, exchange, routing_key, payload, headers);
	if (!good)
		kz_ask_refuse();
	return good;
}

/* $kzR is JSON, or null. */
static bool set_result(const char *function, struct kb_slice routing_key, struct kb_slice answer)
{
	static struct kb_log_limit unreadable;
	struct kb_json_error error;
	kb_buf_clear(&result);
	have_result = kz_receive_payload(KZ_PRIMARY, answer, &result, &error);
	if (!have_result)
		kb_log_limited(&unreadable, KB_LOG_WARNING,
			"%s: the answer for \"%.*s\" is dropped, %s at byte %zu of %zu: %.*s", function, KB_SLICE_FMT(routing_key),
			error.what ? error.what : "it is unreadable", error.at, answer.n, KB_SLICE_FMT(answer));
	return have_result;
}

static int failed(enum kb_question_column end, int64_t started_us, int result)
{
	kb_questions_ended(KZ_QUERIES, end, started_us);
	return result;
}

static int answered(const char *function, struct kb_slice routing_key, struct kb_slice answer, int64_t started_us)
{
	bool good = set_result(function, routing_key, answer);
	kb_questions_ended(KZ_QUERIES, good ? KB_QUESTIONS_ANSWERED : KB_QUESTIONS_UNREADABLE, started_us);
	return good ? KZ_ANSWERED : KZ_FAILED;
}

int kz_question_ended(const char *function, struct kb_slice routing_key, enum kb_reply_state state,
	struct kb_slice answer, int64_t started_us)
{
	static struct kb_log_limit timeouts, losses, unroutable, too_large;
	switch (state) {
	case KB_REPLY_ANSWERED: return answered(function, routing_key, answer, started_us);
	case KB_REPLY_TIMEOUT:
		kb_log_limited(
			&timeouts, KB_LOG_WARNING, "%s: no answer in time for \"%.*s\"", function, KB_SLICE_FMT(routing_key));
		return failed(KB_QUESTIONS_TIMEOUT, started_us, KZ_TIMEOUT);
	case KB_REPLY_UNROUTABLE:
		kb_log_limited(&unroutable, KB_LOG_WARNING, "%s: the question for \"%.*s\" reached no queue", function,
			KB_SLICE_FMT(routing_key));
		return failed(KB_QUESTIONS_UNROUTABLE, started_us, KZ_UNROUTABLE);
	case KB_REPLY_TOO_LARGE:
		kb_log_limited(&too_large, KB_LOG_ERROR,
			"%s: the answer for \"%.*s\" is dropped, it has %zu bytes and there is room for %zu", function,
			KB_SLICE_FMT(routing_key), answer.n, kb_replies_answer_max(replies));
		return failed(KB_QUESTIONS_TOO_LARGE, started_us, KZ_TOO_LARGE);
	default:
		kb_log_limited(&losses, KB_LOG_WARNING, "%s: the broker was lost before the answer came for \"%.*s\"", function,
			KB_SLICE_FMT(routing_key));
		return failed(KB_QUESTIONS_LOST, started_us, KZ_FAILED);
	}
}

void kz_forget_result(void)
{
	have_result = false;
}

/* Asks in the slot of this process and waits. */
static int ask_and_wait(const struct kz_question *q)
{
	size_t slot = (size_t)process_no;
	struct kb_slice answer = {NULL, 0};
	int64_t started_us = kb_now_us();
	enum kb_reply_begun begun = kb_reply_ask(replies, slot, q->id, q->deadline_ms);
	if (begun != KB_REPLY_BEGUN) {
		kb_counts_add(KZ_QUERIES_REFUSED);
		if (begun == KB_REPLY_TOO_MANY)
			kz_log_too_many("kazoo_query");
		else
			LM_ERR("kazoo_query: an earlier answer to this process was never completed\n");
		return KZ_FAILED;
	}
	kb_reply_goes_to(replies, slot, q->message.exchange);
	int outcome = kz_message_send("kazoo_query", &q->message);
	if (outcome == 1) {
		enum kb_reply_state state = kb_reply_wait(replies, slot, &answer);
		outcome = kz_question_ended("kazoo_query", q->message.key, state, answer, started_us);
	} else {
		kb_counts_add(KZ_QUERIES_REFUSED);
	}
	kb_reply_end(replies, slot);
	return outcome;
}

/* The answer, or null, to a variable that a script or amqp_result_avp names. */
static bool assign_result(struct sip_msg *msg, pv_spec_t *variable)
{
	pv_value_t value;
	kz_pv_query_result(msg, NULL, &value);
	return kb_script_assign(msg, variable, &value) >= 0;
}

static bool assign_to_all(struct sip_msg *msg, pv_spec_t *target)
{
	bool to_result = !has_result_variable || assign_result(msg, &result_variable);
	bool to_target = !target || assign_result(msg, target);
	return to_result && to_target;
}

/* Whatever ends a query ends here: all the variables have its answer, or none has the one before. */
static int show(struct sip_msg *msg, pv_spec_t *target, int outcome)
{
	if (assign_to_all(msg, target))
		return outcome;
	kz_forget_result();
	assign_to_all(msg, target);
	return KZ_FAILED;
}

/* Of one call, as texts. */
struct words {
	struct kb_slice exchange, routing_key, payload, headers;
};

static int query(struct sip_msg *msg, const struct words *w)
{
	struct kz_question q;
	kz_forget_result(); /* not before the parameters are read: they may be of the answer before */
	if (!kz_ask_build(&q, "kazoo_query", msg, w->exchange, w->routing_key, w->payload, w->headers))
		return KZ_FAILED;
	return ask_and_wait(&q);
}

/* -- the functions of scripts -- */

int kz_pv_query_result(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	if (!have_result)
		return pv_get_null(msg, parameter, value);
	return kb_script_set_text(value, kb_buf_slice(&result));
}

static bool read_words(
	struct sip_msg *msg, struct words *w, char *exchange, char *routing_key, char *payload, char *headers)
{
	return kz_message_get(msg, "kazoo_query", "exchange", exchange, &w->exchange) &&
		   kz_message_get(msg, "kazoo_query", "routing_key", routing_key, &w->routing_key) &&
		   kz_message_get(msg, "kazoo_query", "json_payload", payload, &w->payload) &&
		   (!headers || kz_message_get(msg, "kazoo_query", "amqp_headers", headers, &w->headers));
}

int kz_query5(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *target, char *headers)
{
	struct words w = {.headers = {NULL, 0}};
	bool good = read_words(msg, &w, exchange, routing_key, payload, headers);
	return show(msg, (pv_spec_t *)target, good ? query(msg, &w) : kz_ask_refuse());
}

int kz_query4(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *target)
{
	return kz_query5(msg, exchange, routing_key, payload, target, NULL);
}

int kz_query3(struct sip_msg *msg, char *exchange, char *routing_key, char *payload)
{
	return kz_query5(msg, exchange, routing_key, payload, NULL, NULL);
}

int kz_kemi_query_headers(struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *headers)
{
	struct words w = {kb_slice_of_str(exchange), kb_slice_of_str(routing_key), kb_slice_of_str(payload),
		headers ? kb_slice_of_str(headers) : kb_slice(NULL, 0)};
	return show(msg, NULL, query(msg, &w));
}

int kz_kemi_query(struct sip_msg *msg, str *exchange, str *routing_key, str *payload)
{
	return kz_kemi_query_headers(msg, exchange, routing_key, payload, NULL);
}

enum { TARGET = 4 };

int kz_fixup_query(void **parameter, int number)
{
	return number == TARGET ? kb_fixup_target(parameter, number) : kb_fixup_text(parameter, number);
}

int kz_fixup_query_free(void **parameter, int number)
{
	return number == TARGET ? kb_fixup_target_free(parameter, number) : kb_fixup_text_free(parameter, number);
}
