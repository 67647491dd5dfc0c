#include "kamailio/glue/request.h"

#include <core/dprint.h>
#include <core/pt.h>

#include <stdio.h>

#include "core/clock.h"

enum { ABOUT_MAX = 200 /* bytes: log lines show no more of a text, see KB_SLICE_FMT() */ };

/* -- what both ways have in common -- */

/* Without a slot the request is built all the same, so that what is wrong with it is logged rather than that there is
 * no slot. */
static bool build(struct kb_request *r, long slot)
{
	return r->kind->build(r, (size_t)slot);
}

static bool check_slot(const struct kb_request *r, long slot)
{
	if (slot == KB_REPLY_TOO_MANY)
		r->kind->log_too_many(r->function);
	else if (slot < 0)
		LM_ERR("%s: request refused, an earlier reply to this process is incomplete\n", r->function);
	return slot >= 0;
}

static int give_up(const struct kb_request *r, long slot)
{
	if (slot >= 0)
		kb_reply_end(r->kind->replies(), (size_t)slot);
	return r->kind->refuse(r);
}

static bool send_from(const struct kb_request *r, long slot)
{
	kb_reply_begin(r->kind->replies(), (size_t)slot, r->id, r->message.exchange, r->deadline_ms);
	return r->kind->send(r);
}

/* -- sleeping until the reply is there -- */

static int wait_in(const struct kb_request *r, size_t slot, struct kb_slice about, int64_t started_us)
{
	struct kb_slice reply = {NULL, 0};
	enum kb_reply_state state = kb_reply_wait(r->kind->replies(), slot, &reply);
	int outcome = r->kind->ended(r->function, about, state, reply, started_us);
	kb_reply_end(r->kind->replies(), slot);
	return outcome;
}

/* The key may lie in the reply before, in the same slot. */
int kb_request_wait(struct kb_request *r)
{
	char about[ABOUT_MAX];
	struct kb_replies *replies = r->kind->replies();
	long slot = replies ? kb_reply_claim_own(replies, (size_t)process_no) : KB_REPLY_UNUSABLE;
	if (!build(r, slot) || !check_slot(r, slot))
		return give_up(r, slot);
	int64_t started_us = kb_clock_us();
	size_t n = r->message.key.n < sizeof about ? r->message.key.n : sizeof about;
	if (n)
		memcpy(about, r->message.key.p, n);
	if (!send_from(r, slot))
		return give_up(r, slot);
	return wait_in(r, (size_t)slot, kb_slice(about, n), started_us);
}

/* -- suspending the transaction -- */

/* From here on the transaction is suspended, and must go on whatever fails. */
static int send_suspended(const struct kb_request *r, long slot, const struct kb_suspended *s)
{
	if (send_from(r, slot)) {
		kb_reply_hand_over(r->kind->replies(), (size_t)slot, s, sizeof *s);
		return 1;
	}
	kb_suspend_cancel(s);
	return give_up(r, slot);
}

static void name(struct kb_suspended *s, struct kb_slice key)
{
	size_t n = key.n < sizeof s->about ? key.n : sizeof s->about - 1;
	if (n)
		memcpy(s->about, key.p, n);
	s->about[n] = '\0';
}

/* All that may refuse the request comes before there is a transaction. */
static int suspend_with(struct kb_request *r, struct kb_suspended *s)
{
	struct kb_replies *replies = r->kind->replies();
	long slot = replies ? kb_reply_claim(replies) : KB_REPLY_UNUSABLE;
	s->started_us = kb_clock_us();
	if (!build(r, slot) || !r->kind->fits(r) || !check_slot(r, slot))
		return give_up(r, slot);
	name(s, r->message.key);
	switch (kb_suspend(r->function, r->msg, s)) {
	case KB_SUSPENDED: return send_suspended(r, slot, s);
	case KB_SUSPENDED_BEFORE: kb_reply_end(replies, (size_t)slot); return 1;
	default: return give_up(r, slot);
	}
}

int kb_request_suspend(struct kb_request *r, struct kb_suspended *s)
{
	switch (kb_suspend_look(r->function, r->msg)) {
	case KB_SUSPENDED: return suspend_with(r, s);
	case KB_SUSPENDED_BEFORE: return 1;
	default: return r->kind->refuse(r);
	}
}
