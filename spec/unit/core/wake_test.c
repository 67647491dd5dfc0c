/* core/wake: nobody sleeps through a signal, and no signal that comes late keeps a sleeper awake for ever. */
#include "core/wake.h"

#include <poll.h>
#include <unistd.h>
#include "check.h"

static bool is_awake(const struct kb_wake *w)
{
	struct pollfd fd = {.fd = kb_wake_fd(w), .events = POLLIN};
	return poll(&fd, 1, 0) == 1;
}

static void wakes_a_sleeper(void)
{
	struct kb_wake w;
	CHECK(kb_wake_init(&w) == 0);
	for (int i = 0; i < 3; i++) {
		kb_wake_arm(&w);
		CHECK(!is_awake(&w));
		kb_wake_signal(&w);
		kb_wake_signal(&w); /* one is enough */
		CHECK(is_awake(&w));
		kb_wake_disarm(&w);
	}
	kb_wake_close(&w);
	kb_wake_close(&w);
}

static void leaves_alone_who_is_busy(void)
{
	struct kb_wake w;
	kb_wake_init(&w);
	kb_wake_signal(&w);
	CHECK(!is_awake(&w));
	kb_wake_arm(&w);
	CHECK(!is_awake(&w));
	kb_wake_disarm(&w);
	kb_wake_close(&w);
}

/* The signalling process stops between its two steps; the sleeper has found the work by itself in the meantime. */
static void forgets_a_signal_that_comes_late(void)
{
	struct kb_wake w;
	uint64_t one = 1;
	kb_wake_init(&w);
	kb_wake_arm(&w);
	atomic_store(&w.asleep, 0); /* the first step of kb_wake_signal() */
	kb_wake_disarm(&w);
	CHECK(write(kb_wake_fd(&w), &one, sizeof one) == sizeof one); /* its second */
	kb_wake_arm(&w);
	CHECK(!is_awake(&w));
	kb_wake_signal(&w);
	CHECK(is_awake(&w));
	kb_wake_disarm(&w);
	kb_wake_close(&w);
}

/* As before, and the second step comes only when the sleeper sleeps again. */
static void wakes_once_for_a_signal_that_comes_very_late(void)
{
	struct kb_wake w;
	uint64_t one = 1;
	kb_wake_init(&w);
	kb_wake_arm(&w);
	atomic_store(&w.asleep, 0);
	kb_wake_disarm(&w);
	kb_wake_arm(&w);
	CHECK(!is_awake(&w));
	CHECK(write(kb_wake_fd(&w), &one, sizeof one) == sizeof one);
	CHECK(is_awake(&w)); /* for nothing, which is harmless */
	kb_wake_disarm(&w);
	kb_wake_arm(&w);
	CHECK(!is_awake(&w));
	kb_wake_close(&w);
}

int main(void)
{
	wakes_a_sleeper();
	leaves_alone_who_is_busy();
	forgets_a_signal_that_comes_late();
	wakes_once_for_a_signal_that_comes_very_late();
	return check_failures ? 1 : 0;
}
