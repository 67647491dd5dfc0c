/* amqp/failover: which address is next, whatever is dead and whatever other processes do. */
#include "amqp/failover.h"

#include <stdlib.h>
#include "check.h"

enum { MOST = 6, PROCESSES = 4, PAUSE_MS = 100 };

/* Processes that share a list. dead[p]: the addresses that do not answer process p, a bit each. */
struct zone {
	size_t n, processes;
	unsigned dead[PROCESSES];
	struct kb_amqp_failover f[PROCESSES];
	bool connected[PROCESSES];
	unsigned tried[PROCESSES]; /* since it was last connected, a bit for each address */
	size_t attempts[PROCESSES];
	uint64_t lead;
	int64_t now;
};

static struct zone zone_of(size_t n, size_t processes, unsigned dead)
{
	struct zone z = {.n = n, .processes = processes};
	for (size_t p = 0; p < processes; p++) {
		z.f[p].n = n;
		z.dead[p] = dead;
	}
	return z;
}

static void attempt(struct zone *z, size_t p)
{
	size_t at = kb_amqp_failover_next(&z->f[p], z->lead);
	CHECK(at < z->n && at == z->f[p].current);
	z->tried[p] |= 1u << at;
	z->attempts[p]++;
	z->connected[p] = !(z->dead[p] >> at & 1);
	if (!z->connected[p])
		return;
	z->lead = kb_amqp_failover_connected(&z->f[p], z->lead, z->now);
	z->tried[p] = 0;
	z->attempts[p] = 0;
}

static void lose(struct zone *z, size_t p, bool once_more)
{
	z->connected[p] = false;
	z->f[p].once_more = once_more;
}

/* What a process does when it has its turn: an attempt, or a look at what it has. */
static void turn(struct zone *z, size_t p)
{
	if (z->connected[p] && z->dead[p] >> z->f[p].current & 1)
		lose(z, p, true);
	else if (z->connected[p] && kb_amqp_failover_leaves(&z->f[p], z->lead, z->now))
		lose(z, p, true);
	else if (z->connected[p])
		return;
	attempt(z, p);
}

static void run(struct zone *z, int64_t ms)
{
	for (int64_t end = z->now + ms; z->now < end; z->now += PAUSE_MS)
		for (size_t i = 0, first = (size_t)rand() % z->processes; i < z->processes; i++)
			if (rand() % 3)
				turn(z, (first + i) % z->processes);
}

static bool together(const struct zone *z)
{
	for (size_t p = 0; p < z->processes; p++)
		if (!z->connected[p] || z->f[p].current != z->f[0].current)
			return false;
	return true;
}

static unsigned all_of(size_t n)
{
	return (1u << n) - 1;
}

/* -- one process -- */

static void alone_each_is_tried_in_order(void)
{
	for (size_t n = 1; n <= MOST; n++) {
		struct zone z = zone_of(n, 1, all_of(n));
		for (size_t i = 0; i < 3 * n; i++) {
			attempt(&z, 0);
			CHECK(z.f[0].current == i % n);
		}
	}
}

static void a_lost_connection_is_tried_once_more(void)
{
	struct zone z = zone_of(3, 1, 1u);
	attempt(&z, 0);
	attempt(&z, 0);
	CHECK(z.connected[0] && z.f[0].current == 1);
	z.dead[0] = all_of(3);
	lose(&z, 0, true);
	static const size_t expected[] = {1, 2, 0, 1, 2};
	for (size_t i = 0; i < 5; i++) {
		attempt(&z, 0);
		CHECK(z.f[0].current == expected[i]);
	}
}

static void a_silent_one_is_not(void)
{
	struct zone z = zone_of(3, 1, 0);
	attempt(&z, 0);
	lose(&z, 0, false);
	attempt(&z, 0);
	CHECK(z.f[0].current == 1);
}

/* -- several -- */

/* All patterns of dead addresses, at the start: each process is where the first connected, within a round. */
static void all_meet_at_the_start(void)
{
	for (size_t n = 1; n <= MOST; n++)
		for (unsigned dead = 0; dead < all_of(n); dead++)
			for (size_t processes = 1; processes <= PROCESSES; processes++) {
				struct zone z = zone_of(n, processes, dead);
				run(&z, (int64_t)(n + 5) * 5 * PAUSE_MS + KB_AMQP_FOLLOW_MS);
				CHECK(together(&z));
			}
}

/* All patterns before and all patterns after: what they are connected to dies, or comes back, or nothing. */
static void all_meet_again_later(void)
{
	for (size_t n = 2; n <= MOST; n++)
		for (unsigned before = 0; before < all_of(n); before++)
			for (unsigned after = 0; after < all_of(n); after++) {
				struct zone z = zone_of(n, 3, before);
				run(&z, 5000 + KB_AMQP_FOLLOW_MS);
				CHECK(together(&z));
				size_t was = z.f[0].current;
				for (size_t p = 0; p < 3; p++)
					z.dead[p] = after;
				run(&z, 5000 + KB_AMQP_FOLLOW_MS);
				CHECK(together(&z) && (after >> was & 1 || z.f[0].current == was));
			}
}

static void nobody_waits_longer_than_two_rounds(void)
{
	for (int i = 0; i < 20000; i++) {
		size_t n = 1 + (size_t)rand() % MOST;
		struct zone z = zone_of(n, PROCESSES, 0);
		for (int step = 0; step < 200; step++) {
			size_t p = (size_t)rand() % PROCESSES;
			if (step % 20 == 0)
				z.dead[p] = (unsigned)rand() & all_of(n);
			if (step % 20 == 0)
				z.tried[p] = 0, z.attempts[p] = 0;
			z.now += PAUSE_MS;
			turn(&z, p);
			CHECK(z.attempts[p] < 2 * n || z.tried[p] == all_of(n));
		}
	}
}

/* One that others lead to a dead address again and again still passes all. */
static void leads_keep_nobody_from_its_round(void)
{
	for (size_t n = 1; n <= MOST; n++)
		for (size_t there = 0; there < n; there++) {
			struct zone z = zone_of(n, 1, all_of(n));
			for (uint32_t i = 1; i <= 2 * n; i++) {
				z.lead = (uint64_t)i << 32 | there;
				attempt(&z, 0);
			}
			CHECK(z.tried[0] == all_of(n));
		}
}

static void a_lead_is_followed_at_once_and_once(void)
{
	struct zone z = zone_of(4, 2, 3u);
	attempt(&z, 0);
	attempt(&z, 0);
	attempt(&z, 1);
	attempt(&z, 0);
	CHECK(z.connected[0] && z.f[0].current == 2);
	z.dead[1] = 7u;
	attempt(&z, 1);
	CHECK(!z.connected[1] && z.f[1].current == 2);
	static const size_t expected[] = {1, 2, 3};
	for (size_t i = 0; i < 3; i++) {
		attempt(&z, 1);
		CHECK(z.f[1].current == expected[i]);
	}
	CHECK(z.connected[1] && !kb_amqp_failover_leaves(&z.f[1], z.lead, z.now + KB_AMQP_FOLLOW_MS));
	CHECK(!kb_amqp_failover_leaves(&z.f[0], z.lead, z.now + KB_AMQP_FOLLOW_MS - 1));
	CHECK(kb_amqp_failover_leaves(&z.f[0], z.lead, z.now + KB_AMQP_FOLLOW_MS));
}

/* Each reaches one broker alone: they try to meet more and more seldom, and are connected meanwhile. */
static void those_who_cannot_meet_stay_connected(void)
{
	struct zone z = zone_of(2, 2, 0);
	int64_t without = 0, hour = 3600000;
	z.dead[0] = 1u;
	z.dead[1] = 2u;
	for (; z.now < hour; z.now += PAUSE_MS)
		for (size_t p = 0; p < 2; p++) {
			turn(&z, p);
			without += z.connected[p] ? 0 : PAUSE_MS;
		}
	CHECK(without < hour / 100);
	z.dead[0] = z.dead[1] = 0;
	run(&z, 2 * KB_AMQP_FOLLOW_MAX_MS);
	CHECK(together(&z));
}

int main(void)
{
	alone_each_is_tried_in_order();
	a_lost_connection_is_tried_once_more();
	a_silent_one_is_not();
	all_meet_at_the_start();
	all_meet_again_later();
	nobody_waits_longer_than_two_rounds();
	leads_keep_nobody_from_its_round();
	a_lead_is_followed_at_once_and_once();
	those_who_cannot_meet_stay_connected();
	return check_failures != 0;
}
