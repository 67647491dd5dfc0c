#include "kamailio/glue/suspend.h"

#include <core/dprint.h>
#include <core/kemi.h>
#include <core/route.h>
#include <modules/tm/tm_load.h>

#include <poll.h>
#include <stdio.h>

#include "core/assert.h"
#include "core/log.h"
#include "kamailio/glue/event_route.h"
#include "kamailio/glue/kemi.h"
#include "kamailio/glue/process.h"
#include "kamailio/glue/route_calls.h"
#include "kamailio/glue/script.h"

enum { LOOK_MS = 20 /* how late a deadline may be noticed while requests are in flight */, IDLE_MS = 1000 };

_Static_assert(sizeof(struct kb_suspended) <= KB_REPLY_NOTE_MAX, "the note of a request holds it");

static struct tm_binds tm;
static cmd_function check_trans; /* t_check_trans() of scripts, which the binds lack */

/* -- suspending -- */

static bool load(const char *function)
{
	if (!check_trans && load_tm_api(&tm) >= 0)
		check_trans = find_export("t_check_trans", 0, 0);
	if (check_trans)
		return true;
	LM_ERR("%s: needs the tm module: loadmodule \"tm.so\"\n", function);
	return false;
}

bool kb_suspend_init(const char *function, const char *const names[], bool *wanted)
{
	*wanted = kb_route_calls_any(names) || (kb_kemi_is_present() && module_loaded("tm"));
	return !*wanted || load(function);
}

/* It is not when another module calls our function, which kb_suspend_init() does not see in the routes. */
bool kb_suspend_is_loaded(const char *function)
{
	if (!check_trans && module_loaded("tm"))
		LM_ERR("%s: called before the server has started\n", function);
	else if (!check_trans)
		LM_ERR("%s: needs the tm module: loadmodule \"tm.so\"\n", function);
	return check_trans != NULL;
}

static int index_in(struct route_list *list, char *name)
{
	int index = route_lookup(list, name);
	return index >= 0 && list->rlist[index] ? index : -1;
}

static bool find_route(const char *function, struct route_list *list, const char *kind, struct kb_slice name,
	struct kb_resume_route *route)
{
	char text[256];
	*route = (struct kb_resume_route){.index = -1};
	if (name.n == 0)
		return true;
	snprintf(text, sizeof text, "%.*s", (int)(name.n < sizeof text ? name.n : sizeof text - 1), name.p);
	route->index = index_in(list, text);
	route->is_common = route->index < 0;
	if (route->is_common)
		route->index = index_in(&main_rt, text);
	if (route->index < 0)
		kb_log(KB_LOG_ERROR, "%s: neither %s[%s] nor route[%s] exists", function, kind, text, text);
	return route->index >= 0;
}

bool kb_suspend_find_routes(
	const char *function, struct kb_slice on_reply, struct kb_slice on_failure, struct kb_suspended *s)
{
	return find_route(function, &onreply_rt, "onreply_route", on_reply, &s->on_reply) &&
		   find_route(function, &failure_rt, "failure_route", on_failure, &s->on_failure);
}

static bool name_callback(const char *function, struct kb_slice name, char to[KB_CALLBACK_BYTES])
{
	if (name.n >= KB_CALLBACK_BYTES) {
		kb_log(KB_LOG_ERROR, "%s: function name \"%.*s\" is longer than %d bytes", function, KB_SLICE_FMT(name),
			KB_CALLBACK_BYTES - 1);
		return false;
	}
	if (name.n)
		memcpy(to, name.p, name.n);
	to[name.n] = '\0';
	return true;
}

bool kb_suspend_find_callbacks(
	const char *function, struct kb_slice on_reply, struct kb_slice on_failure, struct kb_suspended *s)
{
	if (!sr_kemi_eng_get())
		return kb_suspend_find_routes(function, on_reply, on_failure, s);
	s->on_reply.index = s->on_failure.index = -1;
	return name_callback(function, on_reply, s->reply_callback) &&
		   name_callback(function, on_failure, s->failure_callback);
}

/* The transaction that the script has made. */
static bool has_transaction(void)
{
	tm_cell_t *t = tm.t_gett();
	return t && t != T_UNDEFINED;
}

enum kb_suspending kb_suspend_look(const char *function, struct sip_msg *msg)
{
	static struct kb_log_limit faked;
	if (kb_event_route_is_faked(msg)) {
		kb_log_limited(&faked, KB_LOG_ERROR,
			"%s: cannot be called in event routes and timers, which have no SIP request to suspend", function);
		return KB_NOT_SUSPENDED;
	}
	/* It sends the last reply again, as t_newtran() does, and makes nothing. */
	return !has_transaction() && check_trans(msg, NULL, NULL) == 0 ? KB_SUSPENDED_BEFORE : KB_SUSPENDED;
}

static enum kb_suspending make_transaction(const char *function, struct sip_msg *msg)
{
	int made = tm.t_newtran(msg);
	if (made < 0)
		LM_ERR("%s: cannot create a transaction\n", function);
	return made < 0 ? KB_NOT_SUSPENDED : made == 0 ? KB_SUSPENDED_BEFORE : KB_SUSPENDED;
}

enum kb_suspending kb_suspend(const char *function, struct sip_msg *msg, struct kb_suspended *s)
{
	enum kb_suspending found = has_transaction() ? KB_SUSPENDED : make_transaction(function, msg);
	if (found != KB_SUSPENDED)
		return found;
	int failed = tm.t_suspend(msg, &s->index, &s->label);
	if (failed > 0)
		LM_INFO("%s: transaction was cancelled, nothing is sent\n", function);
	else if (failed < 0)
		LM_ERR("%s: cannot suspend the transaction\n", function);
	return failed ? KB_NOT_SUSPENDED : KB_SUSPENDED;
}

void kb_suspend_cancel(const struct kb_suspended *s)
{
	tm.t_cancel_suspend(s->index, s->label);
}

/* -- going on -- */

/* Also what another process has written is no index beyond the routes that there are. */
static struct action *actions_of(const struct route_list *list, const struct kb_resume_route *route)
{
	if (route->is_common)
		list = &main_rt;
	return route->index >= 0 && !kb_fails(route->index < list->idx) ? list->rlist[route->index] : NULL;
}

static void resume(const struct kb_resumer *r, struct kb_suspended *s, bool replied)
{
	static struct kb_log_limit gone;
	char *callback = replied ? s->reply_callback : s->failure_callback;
	int result;
	if (callback[0]) {
		str name = {callback, (int)strlen(callback)}, parameter = str_init("");
		result = tm.t_continue_cb(s->index, s->label, &name, &parameter);
	} else {
		struct action *actions =
			replied ? actions_of(&onreply_rt, &s->on_reply) : actions_of(&failure_rt, &s->on_failure);
		result = tm.t_continue(s->index, s->label, actions);
	}
	if (result < 0) /* its caller has hung up, for one */
		kb_log_limited(&gone, KB_LOG_INFO, "%s: transaction %u:%u ended before its reply arrived", r->function,
			s->index, s->label);
}

/* Its texts end where they must, whatever another process has written. */
static struct kb_suspended note_of(const struct kb_resumer *r, size_t slot)
{
	struct kb_suspended s;
	memcpy(&s, kb_reply_note(r->replies, slot), sizeof s);
	s.reply_callback[sizeof s.reply_callback - 1] = '\0';
	s.failure_callback[sizeof s.failure_callback - 1] = '\0';
	s.about[sizeof s.about - 1] = '\0';
	return s;
}

/* True while the request in the slot still waits. */
static bool look_at(const struct kb_resumer *r, size_t slot)
{
	struct kb_slice reply = {NULL, 0};
	if (!kb_reply_is_handed_over(r->replies, slot))
		return false;
	enum kb_reply_state state = kb_reply_poll(r->replies, slot, &reply);
	if (state == KB_REPLY_FREE || state == KB_REPLY_WAITING)
		return state == KB_REPLY_WAITING;
	struct kb_suspended s = note_of(r, slot);
	bool replied = r->ended(r->function, kb_slice_from(s.about), state, reply, s.started_us) > 0;
	kb_reply_end(r->replies, slot);
	resume(r, &s, replied);
	r->forget();
	return false;
}

static bool look_at_all(const struct kb_resumer *r)
{
	bool waiting = false;
	size_t at = 0, slot;
	while (kb_replies_next_claimed(r->replies, r->share, &at, &slot))
		waiting |= look_at(r, slot);
	return waiting;
}

void kb_suspend_run_resumer(const struct kb_resumer *r)
{
	struct kb_wake *wake = kb_replies_wake(r->replies, r->share);
	for (;;) {
		kb_process_tick(NULL);
		kb_wake_arm(wake);
		bool waiting = look_at_all(r);
		struct pollfd p = {kb_wake_fd(wake), POLLIN, 0};
		poll(&p, 1, waiting ? LOOK_MS : IDLE_MS);
		kb_wake_disarm(wake);
	}
}
