#include "nats/lame_duck.h"

#include <sys/random.h>
#include <unistd.h>
#include "bus/traffic.h"
#include "nats/notices.h"

enum {
	LEAVE_WITHIN_MS = 5000, /* well before a server cuts off its first clients */
	LEAVING_MS = 1000       /* for everything in flight then */
};

/* At random, so that not all clients of a cluster come to its other servers at once. */
static int64_t moment_to_leave(int64_t now)
{
	uint32_t random = 0;
	if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
		random = (uint32_t)getpid() * 2654435761u;
	return now + random % LEAVE_WITHIN_MS;
}

void kb_nats_lame_duck_note(struct kb_broker *b, int64_t now)
{
	if (!b->link.info.lame_duck || b->lame_duck)
		return;
	b->lame_duck = true;
	if (kb_nats_servers_others(&b->servers, b->server, b->link.info.servers, b->trusted))
		b->leave_at = moment_to_leave(now);
	kb_log(KB_LOG_WARNING, "nats: %s is shutting down (lame duck mode), %s", b->address,
		b->leave_at ? "moving to another server" : "no other server is known");
	kb_traffic_note(b->config.traffic, lame_duck);
	kb_nats_notices_tell(b, "lame-duck");
}

/* Nothing is published or asked for any more, so when the PONG comes, nothing is in flight either way. */
void kb_nats_lame_duck_tick(struct kb_broker *b, int64_t now)
{
	if (now < b->leave_at)
		return;
	for (size_t i = 0; i < b->n_subscriptions; i++)
		kb_nats_wire_put_unsubscribe(&b->link.out, i + 1);
	kb_nats_receipts_ping(&b->receipts, &b->link, true, now);
	kb_nats_link_ping(&b->link);
	b->leave_by = now + LEAVING_MS;
	if (b->events.blocked)
		b->events.blocked(b->events.context, true, "lame duck mode");
}

bool kb_nats_lame_duck_may_leave(const struct kb_broker *b, int64_t now)
{
	bool in_flight =
		kb_nats_link_awaits_pong(&b->link) || b->store.oldest < b->store.next || kb_nats_receipts_open(&b->receipts);
	return !b->held && (!in_flight || now >= b->leave_by);
}
