/* kazoo_async_query: the transaction is suspended (suspend.h) until the answer is there. */
#include <core/dprint.h>
#include <core/kemi.h>

#include "core/clock.h"
#include "kamailio/glue/process.h"
#include "kamailio/glue/script.h"
#include "kamailio/glue/suspend.h"
#include "kamailio/kazoo/ask.h"
#include "kamailio/kazoo/message.h"
#include "kamailio/kazoo/query.h"
#include "kamailio/kazoo/settings.h"
#include "kamailio/kazoo/stats.h"

static const char function[] = "kazoo_async_query";

/* -- going on -- */

static bool on_ended(enum kb_reply_state state, struct kb_slice answer, const struct kb_suspended *s)
{
	return kz_question_ended(function, kb_slice_from(s->about), state, answer, s->started_us) == KZ_ANSWERED;
}

static void resumer_main(void *argument)
{
	kb_resumer_run(&(struct kb_resumer){.function = function,
		.replies = kz_replies(),
		.share = (size_t)(intptr_t)argument,
		.ended = on_ended,
		.forget = kz_forget_result});
}

int kz_query_processes(void)
{
	return kz_settings()->workers;
}

bool kz_query_fork(void)
{
	for (intptr_t i = 0; i < kz_query_processes(); i++)
		if (kb_process_fork(KB_PROCESS_ROUTES, "kazoo query resumer", resumer_main, (void *)i) < 0)
			return false;
	return true;
}

/* -- asking -- */

bool kz_async_init(void)
{
	static const char *const names[] = {function, "kazoo_query_async", NULL};
	bool wanted;
	return kb_suspend_init(function, names, &wanted);
}

/* Of one call, as texts. */
struct words {
	struct kb_slice exchange, routing_key, payload, on_answer, on_failure;
};

/* All that may refuse the question before there is a transaction: the slot for its answer, or -1. */
static long claim(const struct kz_question *q)
{
	if (!kz_message_fits(function, &q->message))
		return -1;
	long slot = kb_reply_claim(kz_replies(), q->id, q->deadline_ms);
	if (slot < 0)
		kz_log_too_many(function);
	return slot;
}

static int give_up(size_t slot)
{
	kb_reply_end(kz_replies(), slot);
	return kz_ask_refuse();
}

/* From here on the transaction is suspended, and must go on whatever fails. */
static int send_question(const struct kz_question *q, size_t slot, const struct kb_suspended *s)
{
	kb_reply_goes_to(kz_replies(), slot, q->message.exchange);
	if (kz_message_send(function, &q->message) == 1) {
		kb_reply_hand_over(kz_replies(), slot, s, sizeof *s);
		return 1;
	}
	kb_suspend_cancel(s);
	return give_up(slot);
}

static int ask(struct sip_msg *msg, const struct words *w, struct kb_suspended *s)
{
	struct kz_question q;
	if (!kz_ask_build(&q, function, msg, w->exchange, w->routing_key, w->payload, kb_slice(NULL, 0)))
		return -1;
	long slot = claim(&q);
	if (slot < 0)
		return kz_ask_refuse();
	snprintf(s->about, sizeof s->about, "%.*s", KB_SLICE_FMT(w->routing_key));
	switch (kb_suspend(function, msg, s)) {
	case KB_SUSPENDED: return send_question(&q, (size_t)slot, s);
	case KB_SUSPENDED_BEFORE: kb_reply_end(kz_replies(), (size_t)slot); return 1;
	default: return give_up((size_t)slot);
	}
}

static int look_and_ask(struct sip_msg *msg, const struct words *w, struct kb_suspended *s)
{
	s->started_us = kb_now_us();
	switch (kb_suspend_look(function, msg)) {
	case KB_SUSPENDED: return ask(msg, w, s);
	case KB_SUSPENDED_BEFORE: return 1;
	default: return kz_ask_refuse();
	}
}

int kz_async_query6(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *on_answer,
	char *on_failure, char *flags)
{
	struct words w;
	struct kb_suspended s = {0};
	(void)flags; /* none are defined */
	if (!kb_suspend_is_loaded(function) || !kz_message_get(msg, function, "exchange", exchange, &w.exchange) ||
		!kz_message_get(msg, function, "routing_key", routing_key, &w.routing_key) ||
		!kz_message_get(msg, function, "json_payload", payload, &w.payload) ||
		!kz_message_get(msg, function, "success route", on_answer, &w.on_answer) ||
		!kz_message_get(msg, function, "error route", on_failure, &w.on_failure) ||
		!kb_suspend_find_routes(function, w.on_answer, w.on_failure, &s))
		return kz_ask_refuse();
	return look_and_ask(msg, &w, &s);
}

/* Without a KEMI script as the configuration's main one (lua_run of app_lua), the names are those of routes. */
static bool find(const struct words *w, struct kb_suspended *s)
{
	if (sr_kemi_eng_get())
		return kb_suspend_name_callbacks(function, w->on_answer, w->on_failure, s);
	return kb_suspend_find_routes(function, w->on_answer, w->on_failure, s);
}

int kz_kemi_async_query(
	struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *on_answer, str *on_failure)
{
	struct words w = {kb_slice_of_str(exchange), kb_slice_of_str(routing_key), kb_slice_of_str(payload),
		kb_slice_of_str(on_answer), kb_slice_of_str(on_failure)};
	struct kb_suspended s = {0};
	if (!kb_suspend_is_loaded(function) || !find(&w, &s))
		return kz_ask_refuse();
	return look_and_ask(msg, &w, &s);
}

int kz_async_query5(
	struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *on_answer, char *on_failure)
{
	return kz_async_query6(msg, exchange, routing_key, payload, on_answer, on_failure, NULL);
}
