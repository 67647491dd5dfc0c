#include "amqp/failover.h"

static uint32_t count_of(uint64_t lead)
{
	return (uint32_t)(lead >> 32);
}

size_t kb_amqp_failover_there(const struct kb_amqp_failover *f, uint64_t lead)
{
	return (size_t)(uint32_t)lead % f->n;
}

static bool leads_away(const struct kb_amqp_failover *f, uint64_t lead)
{
	return count_of(lead) != f->seen && kb_amqp_failover_there(f, lead) != f->current;
}

static void advance(struct kb_amqp_failover *f)
{
	f->turn = (f->turn + 1) % f->n;
}

static size_t follow(struct kb_amqp_failover *f, uint64_t lead)
{
	f->seen = count_of(lead);
	f->follows = true;
	f->current = kb_amqp_failover_there(f, lead);
	return f->current;
}

/* A lead to the broker that was just lost is old. */
static void note_loss(struct kb_amqp_failover *f, uint64_t lead)
{
	if (f->connected && kb_amqp_failover_there(f, lead) == f->current)
		f->seen = count_of(lead);
	f->connected = false;
}

/* The pause before the next lead is followed: the last one was followed in vain. */
static int longer(int pause_ms)
{
	return pause_ms * 2 > KB_AMQP_FOLLOW_MAX_MS ? KB_AMQP_FOLLOW_MAX_MS : pause_ms * 2;
}

static size_t next_of_round(struct kb_amqp_failover *f)
{
	if (f->begun && !f->once_more)
		advance(f);
	f->begun = true;
	f->once_more = false;
	f->current = f->turn;
	return f->current;
}

size_t kb_amqp_failover_next(struct kb_amqp_failover *f, uint64_t lead)
{
	bool followed = f->follows;
	note_loss(f, lead);
	if (!followed && leads_away(f, lead))
		return follow(f, lead);
	f->follows = false;
	if (!followed)
		return next_of_round(f);
	f->follow_ms = longer(f->follow_ms);
	size_t tried = f->current; /* in vain */
	return next_of_round(f) == tried ? next_of_round(f) : f->current;
}

uint64_t kb_amqp_failover_connected(struct kb_amqp_failover *f, uint64_t lead, int64_t now_ms)
{
	if (f->follows || !f->follow_ms)
		f->follow_ms = KB_AMQP_FOLLOW_MS;
	f->follows = false;
	f->connected = f->begun = true;
	f->turn = f->current;
	f->follow_at = now_ms + f->follow_ms;
	f->seen = count_of(lead) + 1;
	return (uint64_t)f->seen << 32 | (uint32_t)f->current;
}

bool kb_amqp_failover_leaves(const struct kb_amqp_failover *f, uint64_t lead, int64_t now_ms)
{
	return leads_away(f, lead) && now_ms >= f->follow_at;
}
