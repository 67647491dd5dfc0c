/* kazoo_async_query: the transaction is suspended (suspend.h) until the answer is there. */
#include "kamailio/kazoo_query.h"

#include <core/dprint.h>
#include <core/kemi.h>

#include "core/clock.h"
#include "kamailio/kazoo.h"
#include "kamailio/kazoo_ask.h"
#include "kamailio/kazoo_stats.h"
#include "kamailio/process.h"
#include "kamailio/script.h"
#include "kamailio/suspend.h"

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

static bool send_question(const struct kz_question *q, size_t slot)
{
	kb_reply_goes_to(kz_replies(), slot, q->message.exchange);
	bool sent = kz_message_send(function, &q->message) == 1;
	if (sent)
		kb_reply_hand_over(kz_replies(), slot);
	else
		kb_reply_end(kz_replies(), slot);
	return sent;
}

/* From here on the transaction is suspended, and must go on whatever fails. */
static int ask(const struct kz_question *q, const struct kb_suspended *s)
{
	long slot = kb_reply_claim(kz_replies(), q->id, q->deadline_ms, s, sizeof *s);
	if (slot < 0)
		kz_log_too_many(function);
	else if (send_question(q, (size_t)slot))
		return 1;
	kb_counts_add(KZ_QUERIES_REFUSED);
	kb_suspend_cancel(s);
	return -1;
}

/* Of one call, as texts. */
struct words {
	struct kb_slice exchange, routing_key, payload;
};

static int suspend_and_ask(struct sip_msg *msg, const struct words *w, struct kb_suspended *s)
{
	struct kz_question q;
	if (!kz_ask_build(&q, function, msg, w->exchange, w->routing_key, w->payload, kb_slice(NULL, 0)))
		return -1;
	snprintf(s->about, sizeof s->about, "%.*s", KB_SLICE_FMT(w->routing_key));
	switch (kb_suspend(function, msg, s)) {
	case KB_SUSPENDED: return ask(&q, s);
	case KB_SUSPENDED_BEFORE: return 1;
	default: kb_counts_add(KZ_QUERIES_REFUSED); return -1;
	}
}

int kz_async_query6(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *on_answer,
	char *on_failure, char *flags)
{
	struct words w;
	struct kb_slice answer, failure;
	struct kb_suspended s = {.started_us = kb_now_us()};
	(void)flags; /* none are defined */
	if (!kb_script_get(msg, function, "exchange", exchange, &w.exchange) ||
		!kb_script_get(msg, function, "routing_key", routing_key, &w.routing_key) ||
		!kb_script_get(msg, function, "json_payload", payload, &w.payload) ||
		!kb_script_get(msg, function, "success route", on_answer, &answer) ||
		!kb_script_get(msg, function, "error route", on_failure, &failure))
		return -1;
	return kb_suspend_find_routes(function, answer, failure, &s) ? suspend_and_ask(msg, &w, &s) : -1;
}

int kz_kemi_async_query(
	struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *on_answer, str *on_failure)
{
	struct words w = {kb_slice_of_str(exchange), kb_slice_of_str(routing_key), kb_slice_of_str(payload)};
	struct kb_slice answer = kb_slice_of_str(on_answer), failure = kb_slice_of_str(on_failure);
	struct kb_suspended s = {.started_us = kb_now_us()};
	if (!kb_suspend_is_loaded(function)) /* in kamailio.cfg the fix-up sees to that */
		return -1;
	/* Without a KEMI script as the configuration's main one (lua_run of app_lua), the names are those of routes. */
	bool found = sr_kemi_eng_get() ? kb_suspend_name_callbacks(function, answer, failure, &s)
								   : kb_suspend_find_routes(function, answer, failure, &s);
	return found ? suspend_and_ask(msg, &w, &s) : -1;
}

int kz_async_query5(
	struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *on_answer, char *on_failure)
{
	return kz_async_query6(msg, exchange, routing_key, payload, on_answer, on_failure, NULL);
}

int kz_fixup_async(void **parameter, int number)
{
	return kb_suspend_load(function) ? kb_fixup_text(parameter, number) : -1;
}
