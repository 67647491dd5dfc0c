/* nats/durable: how many messages it asks for at once. */
#include "durable_scene.h"

static void take(struct scene *s, unsigned messages, int each_ms)
{
	while (messages--) {
		s->now += each_ms;
		kb_nats_durable_taken(&s->d, &s->out, s->now);
	}
}

static void more_is_asked_for_when_half_a_batch_is_left(void)
{
	struct scene s;
	begin_pulling(&s);
	s.d.batch = s.d.outstanding = 8;
	take(&s, 3, 0);
	CHECK(s.d.outstanding == 5 && is_quiet(&s));
	take(&s, 1, 0);
	CHECK(s.d.outstanding == 12 && pulls(&s, 8));
	end(&s);
}

static void batches_grow_while_routes_are_fast(void)
{
	struct scene s;
	begin_pulling(&s);
	for (unsigned batch = 1; batch < 512; batch *= 2) {
		CHECK(s.d.batch == batch);
		take(&s, batch, 1);
	}
	take(&s, 2048, 1);
	CHECK(s.d.batch == 512);
	end(&s);
}

/* A batch takes at most a quarter of the time for the acknowledgement, and more than a sixteenth of it. */
static void batches_shrink_while_routes_are_slow(void)
{
	struct scene s;
	begin_pulling(&s);
	s.d.batch = 16;
	take(&s, 16, ACK_WAIT_MS / 16 / 4); /* a quarter */
	CHECK(s.d.batch == 16);
	take(&s, 16, ACK_WAIT_MS / 16 / 4 + 1);
	CHECK(s.d.batch == 8);
	take(&s, 8, ACK_WAIT_MS / 16 / 8);
	CHECK(s.d.batch == 8);
	take(&s, 8, ACK_WAIT_MS / 16 / 8 - 1);
	CHECK(s.d.batch == 16);
	s.d.batch = 1;
	s.d.taken = 0;
	take(&s, 3, ACK_WAIT_MS);
	CHECK(s.d.batch == 1);
	end(&s);
}

int main(void)
{
	more_is_asked_for_when_half_a_batch_is_left();
	batches_grow_while_routes_are_fast();
	batches_shrink_while_routes_are_slow();
	return check_failures ? 1 : 0;
}
