/* One question after the other: from the outbox of the requester to what the route sees of the answer. */
#include <core/dprint.h>
#include <core/pt.h>

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/uuid.h"
#include "kamailio/nats/publish.h"
#include "kamailio/nats/request.h"
#include "kamailio/nats/settings.h"
#include "kamailio/nats/stats.h"

/* The last answer in this process, as routes see it. There are two, because the parts of a question may lie in the
 * answer before: nats_request("$natsAnswer", ...). */
static struct kb_buf answers[2];
static unsigned turn;
static struct kb_message answer;
static bool have_answer;
static const char *error; /* why there is none; NULL: nothing failed */
static const char may_not[] = "permissions violation";

struct question {
	char id[KB_UUID_SHORT_CHARS];
	char reply[KN_INBOX_BYTES + 1 + KB_UUID_SHORT_CHARS]; /* INBOX.ID */
	int64_t deadline_ms;
};

/* -- the outcome -- */

const struct kb_message *kn_answer(void)
{
	return have_answer ? &answer : NULL;
}

const char *kn_error(void)
{
	return error;
}

void kn_set_error(const char *why)
{
	error = why;
}

void kn_forget_answer(void)
{
	have_answer = false;
	error = NULL;
}

static int refused(const char *why)
{
	kn_forget_answer();
	error = why;
	kb_questions_ended(KN_REQUESTS, KB_QUESTIONS_REFUSED, 0);
	return KN_FAILED;
}

int kn_refuse(void)
{
	return refused("refused");
}

/* The slot is given back to others, so the answer is copied. */
static bool copy_answer(struct kb_slice flat)
{
	struct kb_buf *bytes = &answers[++turn % 2];
	kb_buf_clear(bytes);
	kb_buf_append_slice(bytes, flat);
	return !bytes->failed && kb_message_decode(bytes->p, bytes->n, &answer);
}

/* 503 is the server's own answer to a question that nobody is subscribed to. */
static bool has_status(const struct kb_message *m, struct kb_slice status)
{
	return m->payload.n == 0 && kb_slice_equal(kb_headers_find(m->properties, KB_SLICE_LITERAL("status")), status);
}

static enum kn_outcome fail(enum kn_outcome outcome, enum kb_question_column column, const char *why)
{
	error = why;
	kb_questions_ended(KN_REQUESTS, column, 0);
	return outcome;
}

static enum kn_outcome take(enum kb_reply_state state, struct kb_slice flat, int64_t started_us)
{
	kn_forget_answer();
	if (state == KB_REPLY_TIMEOUT)
		return fail(KN_TIMEOUT, KB_QUESTIONS_TIMEOUT, "timeout");
	if (state == KB_REPLY_TOO_LARGE)
		return fail(KN_FAILED, KB_QUESTIONS_TOO_LARGE, "too large");
	if (state != KB_REPLY_ANSWERED || !copy_answer(flat))
		return fail(KN_FAILED, KB_QUESTIONS_LOST, "lost");
	if (has_status(&answer, KB_SLICE_LITERAL(KN_UNSENT)))
		return fail(KN_FAILED, KB_QUESTIONS_REFUSED, "refused");
	if (has_status(&answer, KB_SLICE_LITERAL(KN_FORBIDDEN)))
		return fail(KN_FAILED, KB_QUESTIONS_FORBIDDEN, may_not);
	if (has_status(&answer, KB_SLICE_LITERAL("503")))
		return fail(KN_NO_RESPONDERS, KB_QUESTIONS_NO_RESPONDERS, "no responders");
	have_answer = true;
	kb_questions_ended(KN_REQUESTS, KB_QUESTIONS_ANSWERED, started_us);
	return KN_ANSWERED;
}

static void log_outcome(const char *function, enum kn_outcome outcome, struct kb_slice subject)
{
	static struct kb_log_limit timeouts, unheard, losses, violations;
	switch (outcome) {
	case KN_ANSWERED: break;
	case KN_TIMEOUT:
		kb_log_limited(
			&timeouts, KB_LOG_WARNING, "%s: \"%.*s\" got no answer in time", function, KB_SLICE_FMT(subject));
		break;
	case KN_NO_RESPONDERS:
		kb_log_limited(&unheard, KB_LOG_WARNING, "%s: \"%.*s\" has no responders: nobody is subscribed to it", function,
			KB_SLICE_FMT(subject));
		break;
	default:
		if (error == may_not)
			kb_log_limited(&violations, KB_LOG_WARNING, "%s: \"%.*s\" got no answer: the account may not publish to it",
				function, KB_SLICE_FMT(subject));
		else
			kb_log_limited(&losses, KB_LOG_WARNING,
				"%s: \"%.*s\" got no answer: the server was lost, or it is too long", function, KB_SLICE_FMT(subject));
	}
}

/* -- asking -- */

static bool not_connected(const char *function, const struct kb_message *m)
{
	static struct kb_log_limit no_server;
	if (kn_replies() && kb_replies_are_open(kn_replies()))
		return false;
	kb_log_limited(&no_server, KB_LOG_ERROR, "%s: \"%.*s\" fails at once: %s", function, KB_SLICE_FMT(m->key),
		kn_replies() ? "no server is connected" : "called before the server has started");
	return true;
}

/* An id, a reply subject that ends in it, and a deadline. */
static void prepare(struct kb_message *m, unsigned timeout_ms, struct question *q)
{
	kb_uuid_make_short(q->id);
	int n = snprintf(q->reply, sizeof q->reply, "%s.%.*s", kn_inbox(), KB_UUID_SHORT_CHARS, q->id);
	q->deadline_ms = kb_deadline_ms(timeout_ms);
	m->reply = kb_slice(q->reply, (size_t)n);
	m->origin = (struct kb_origin){.tag = q->deadline_ms, .flags = KB_EXPIRES};
}

enum kn_outcome kn_ask(const char *function, struct kb_message *m, unsigned timeout_ms)
{
	struct question q;
	struct kb_slice flat = {NULL, 0};
	size_t slot = (size_t)process_no;
	int64_t started_us = kb_now_us();
	if (not_connected(function, m))
		return refused("not connected");
	prepare(m, timeout_ms, &q);
	if (kb_reply_ask(kn_replies(), slot, kb_slice(q.id, sizeof q.id), q.deadline_ms) != KB_REPLY_BEGUN) {
		LM_ERR("%s: an earlier answer to this process was never completed\n", function);
		return kn_refuse();
	}
	enum kn_outcome outcome = KN_FAILED;
	if (kn_send(function, kn_question_outbox(), m) == 1) {
		enum kb_reply_state state = kb_reply_wait(kn_replies(), slot, &flat);
		outcome = take(state, flat, started_us);
		log_outcome(function, outcome, m->key);
	} else {
		kn_refuse();
	}
	kb_reply_end(kn_replies(), slot);
	return outcome;
}

/* -- asking and going on later -- */

/* All that may refuse the question before there is a transaction: the slot for its answer, or -1 and a log line. */
static long claim(const char *function, const struct kb_message *m, const struct question *q)
{
	static struct kb_log_limit too_many;
	if (!kn_fits(function, kn_question_outbox(), m))
		return -1;
	long slot = kb_reply_claim(kn_replies(), kb_slice(q->id, sizeof q->id), q->deadline_ms);
	if (slot < 0)
		kb_log_limited(&too_many, KB_LOG_ERROR, "%s: all %d questions of nats_async_requests are under way", function,
			kn_settings()->async_requests);
	return slot;
}

static enum kn_outcome give_up(size_t slot)
{
	kb_reply_end(kn_replies(), slot);
	return kn_refuse();
}

/* From here on the transaction is suspended, and must go on whatever fails. */
static enum kn_outcome send_later(
	const char *function, const struct kb_message *m, size_t slot, const struct kb_suspended *s)
{
	if (kn_send(function, kn_question_outbox(), m) == 1) {
		kb_reply_hand_over(kn_replies(), slot, s, sizeof *s);
		return KN_ANSWERED;
	}
	kb_suspend_cancel(s);
	return give_up(slot);
}

static enum kn_outcome ask_later(
	const char *function, struct sip_msg *msg, struct kb_message *m, unsigned timeout_ms, struct kb_suspended *s)
{
	struct question q;
	if (not_connected(function, m))
		return refused("not connected");
	prepare(m, timeout_ms, &q);
	long slot = claim(function, m, &q);
	if (slot < 0)
		return kn_refuse();
	s->started_us = kb_now_us();
	snprintf(s->about, sizeof s->about, "%.*s", (int)(m->key.n < sizeof s->about ? m->key.n : sizeof s->about - 1),
		m->key.p);
	switch (kb_suspend(function, msg, s)) {
	case KB_SUSPENDED: return send_later(function, m, (size_t)slot, s);
	case KB_SUSPENDED_BEFORE: kb_reply_end(kn_replies(), (size_t)slot); return KN_ANSWERED;
	default: return give_up((size_t)slot);
	}
}

int kn_ask_and_suspend(
	const char *function, struct sip_msg *msg, struct kb_message *m, unsigned timeout_ms, struct kb_suspended *s)
{
	kn_forget_answer();
	switch (kb_suspend_look(function, msg)) {
	case KB_SUSPENDED: return ask_later(function, msg, m, timeout_ms, s);
	case KB_SUSPENDED_BEFORE: return KN_ANSWERED;
	default: return kn_refuse();
	}
}

bool kn_question_ended(enum kb_reply_state state, struct kb_slice flat, const struct kb_suspended *s)
{
	enum kn_outcome outcome = take(state, flat, s->started_us);
	log_outcome(KN_REQUEST_ASYNC, outcome, kb_slice_from(s->about));
	return outcome == KN_ANSWERED;
}
