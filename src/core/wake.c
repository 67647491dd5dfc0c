#include "core/wake.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int kb_wake_init(struct kb_wake *w)
{
	atomic_init(&w->asleep, 0);
	w->owed = 0;
	w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return w->fd < 0 ? -errno : 0;
}

void kb_wake_close(struct kb_wake *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

/* The process that cleared `asleep` writes to the descriptor, perhaps later than now. A signal that cannot be read yet
 * must be read before a later sleep, or the descriptor would end every sleep at once. */
static void take_signals(struct kb_wake *w)
{
	uint64_t signals;
	ssize_t n;
	do
		n = read(w->fd, &signals, sizeof signals);
	while (n < 0 && errno == EINTR);
	if (n == sizeof signals)
		w->owed -= signals < w->owed ? signals : w->owed;
}

/* Signals are read here and not at the end of a sleep, when work is waiting. */
void kb_wake_arm(struct kb_wake *w)
{
	if (w->owed)
		take_signals(w);
	/* Sequentially consistent on both sides: either the sleeper sees the work or the writer sees the sleeper. */
	atomic_store(&w->asleep, 1);
	atomic_thread_fence(memory_order_seq_cst);
}

void kb_wake_disarm(struct kb_wake *w)
{
	if (atomic_exchange(&w->asleep, 0) == 0)
		w->owed++;
}

void kb_wake_signal(struct kb_wake *w)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&w->asleep, memory_order_relaxed) == 0 || atomic_exchange(&w->asleep, 0) == 0)
		return;
	uint64_t one = 1;
	while (write(w->fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}
