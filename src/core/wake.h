/*
 * Waking a process that sleeps, and only then: the common case, a reader that is busy, costs the writer one load.
 *
 * The sleeper:   kb_wake_arm(w); look once more for work; poll(kb_wake_fd(w)) when there is none; kb_wake_disarm(w)
 * The others:    make the work visible; kb_wake_signal(w)
 */
#ifndef KB_CORE_WAKE_H
#define KB_CORE_WAKE_H

#include <stdatomic.h>
#include <stdint.h>

/* Lies in shared memory; made before the processes that use it are forked, so that all inherit the descriptor. */
struct kb_wake {
	_Atomic uint32_t asleep;
	int fd;        /* eventfd */
	uint64_t owed; /* the sleeper's own: signals that are on their way into the descriptor */
};

/* 0, or -errno. */
int kb_wake_init(struct kb_wake *w);
void kb_wake_close(struct kb_wake *w);

void kb_wake_arm(struct kb_wake *w);
void kb_wake_disarm(struct kb_wake *w);
void kb_wake_signal(struct kb_wake *w);

static inline int kb_wake_fd(const struct kb_wake *w)
{
	return w->fd;
}

#endif
