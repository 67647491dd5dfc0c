/* kazoo_async_query: the transaction is suspended, and a process that does nothing else goes on with it, so that no
 * answer ever waits behind an event route. */
#include "kamailio/kazoo_query.h"

#include <core/dprint.h>
#include <core/route.h>
#include <modules/tm/tm_load.h>

#include <poll.h>

#include "kamailio/kazoo.h"
#include "kamailio/kazoo_ask.h"
#include "kamailio/kazoo_stats.h"
#include "kamailio/process.h"
#include "kamailio/script.h"

enum { LOOK_MS = 20 /* how late a deadline may be noticed while questions are under way */, IDLE_MS = 1000 };

/* What it takes to go on with a transaction. */
struct suspended {
	unsigned int index, label;
	int on_answer, on_failure; /* routes; -1: none */
	uint64_t started_us;
};

static struct tm_binds tm;

/* -- going on -- */

static void resume(const struct suspended *s, bool answered)
{
	int route = answered ? s->on_answer : s->on_failure;
	struct action *actions = route < 0 ? NULL : answered ? onreply_rt.rlist[route] : failure_rt.rlist[route];
	if (tm.t_continue(s->index, s->label, actions) < 0)
		LM_ERR("kazoo_async_query: the transaction %u:%u is gone\n", s->index, s->label);
}

/* True while the question in the slot still waits. */
static bool look_at(size_t slot)
{
	struct kb_slice answer;
	struct suspended s;
	enum kb_reply_state state = kb_reply_poll(kz_replies(), slot, &answer);
	if (state == KB_REPLY_FREE || state == KB_REPLY_WAITING)
		return state == KB_REPLY_WAITING;
	memcpy(&s, kb_reply_note(kz_replies(), slot), sizeof s);
	kz_stats_query_ended(state, s.started_us);
	if (state == KB_REPLY_ANSWERED)
		kz_set_result(answer);
	else
		LM_WARN("kazoo_async_query: %s\n",
			state == KB_REPLY_TIMEOUT ? "no answer in time" : "the broker was lost before the answer came");
	kb_reply_end(kz_replies(), slot);
	resume(&s, state == KB_REPLY_ANSWERED);
	kz_forget_result();
	return false;
}

static bool look_at_all(void)
{
	bool waiting = false;
	for (size_t i = 0; i < kb_replies_claimable(kz_replies()); i++)
		waiting |= look_at(kb_replies_first_claimable(kz_replies()) + i);
	return waiting;
}

static void resumer_main(void *argument)
{
	(void)argument;
	struct kb_wake *wake = kb_replies_wake(kz_replies());
	for (;;) {
		kb_process_tick(NULL);
		kb_wake_arm(wake);
		bool waiting = look_at_all();
		struct pollfd p = {kb_wake_fd(wake), POLLIN, 0};
		poll(&p, 1, waiting ? LOOK_MS : IDLE_MS);
		kb_wake_disarm(wake);
	}
}

bool kz_query_fork(void)
{
	return kb_process_fork(KB_PROCESS_ROUTES, "kazoo query resumer", resumer_main, NULL) == 0;
}

/* -- suspending -- */

static bool find_route(struct route_list *list, const char *kind, struct kb_slice name, int *index)
{
	char text[256];
	*index = -1;
	if (name.n == 0)
		return true;
	snprintf(text, sizeof text, "%.*s", (int)(name.n < sizeof text ? name.n : sizeof text - 1), name.p);
	*index = route_lookup(list, text);
	if (*index >= 0 && list->rlist[*index])
		return true;
	LM_ERR("kazoo_async_query: there is no %s[%s]\n", kind, text);
	return false;
}

static bool suspend(struct sip_msg *msg, struct suspended *s)
{
	tm_cell_t *t = tm.t_gett();
	if ((!t || t == T_UNDEFINED) && tm.t_newtran(msg) < 0) {
		LM_ERR("kazoo_async_query: cannot create a transaction\n");
		return false;
	}
	if (tm.t_suspend(msg, &s->index, &s->label) < 0) {
		LM_ERR("kazoo_async_query: cannot suspend the transaction\n");
		return false;
	}
	return true;
}

/* From here on the transaction is suspended, and must go on whatever fails. */
static int ask(const struct kz_question *q, const struct suspended *s)
{
	long slot = kb_reply_claim(kz_replies(), q->id, q->deadline_ms, s, sizeof *s);
	if (slot < 0)
		LM_ERR("kazoo_async_query: all %d questions of amqp_max_channels are under way\n", kz_settings()->max_channels);
	else if (kz_message_send("kazoo_async_query", &q->message) == 1) {
		kb_wake_signal(kb_replies_wake(kz_replies())); /* the deadline counts from now */
		return 1;
	}
	if (slot >= 0)
		kb_reply_end(kz_replies(), (size_t)slot);
	kz_stats_count(KZ_QUERIES_REFUSED);
	tm.t_cancel_suspend(s->index, s->label);
	return -1;
}

int kz_async_query6(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *on_answer,
	char *on_failure, char *flags)
{
	static const char function[] = "kazoo_async_query";
	struct kb_slice e, k, p, answer, failure;
	struct kz_question q;
	struct suspended s = {.started_us = kz_stats_now_us()};
	(void)flags; /* none are defined */
	if (!kb_script_get(msg, function, "exchange", exchange, &e) ||
		!kb_script_get(msg, function, "routing_key", routing_key, &k) ||
		!kb_script_get(msg, function, "json_payload", payload, &p) ||
		!kb_script_get(msg, function, "success route", on_answer, &answer) ||
		!kb_script_get(msg, function, "error route", on_failure, &failure))
		return -1;
	if (!find_route(&onreply_rt, "onreply_route", answer, &s.on_answer) ||
		!find_route(&failure_rt, "failure_route", failure, &s.on_failure) ||
		!kz_ask_build(&q, function, msg, e, k, p, kb_slice(NULL, 0)) || !suspend(msg, &s))
		return -1;
	return ask(&q, &s);
}

int kz_async_query5(
	struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *on_answer, char *on_failure)
{
	return kz_async_query6(msg, exchange, routing_key, payload, on_answer, on_failure, NULL);
}

int kz_fixup_async(void **parameter, int number)
{
	if (!tm.t_suspend && load_tm_api(&tm) < 0) {
		LM_ERR("kazoo_async_query: needs the tm module: loadmodule \"tm.so\"\n");
		return -1;
	}
	return kb_fixup_text(parameter, number);
}
