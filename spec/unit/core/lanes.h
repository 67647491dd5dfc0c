/* What the tests of rings and lanes share: payloads that can be told apart, a sleeper, a child process. */
#ifndef KB_SPEC_UNIT_CORE_LANES_H
#define KB_SPEC_UNIT_CORE_LANES_H

#include <poll.h>
#include <stdint.h>
#include <sys/wait.h>
#include "check.h"
#include "core/slice.h"
#include "core/wake.h"

enum { MESSAGES = 200 * 1000, PATIENCE_MS = 20 * 1000 };

/* A payload whose every byte follows from its number, of a length that makes laps end everywhere. */
static inline size_t payload_of(uint32_t number, unsigned char to[1024])
{
	size_t n = 4 + number * 2654435761u % 700;
	memcpy(to, &number, 4);
	for (size_t i = 4; i < n; i++)
		to[i] = (unsigned char)(number + i);
	return n;
}

static inline bool is_payload_of(uint32_t number, struct kb_slice payload)
{
	unsigned char wanted[1024];
	size_t n = payload_of(number, wanted);
	return payload.n == n && memcmp(payload.p, wanted, n) == 0;
}

/* Sleeps until there is something; false: nobody woke us. `ready` is asked once more after arming. */
static inline bool sleep_on(struct kb_wake *wake, bool (*ready)(void *), void *context)
{
	bool woken = true;
	kb_wake_arm(wake);
	if (!ready(context)) {
		struct pollfd fd = {.fd = kb_wake_fd(wake), .events = POLLIN};
		woken = poll(&fd, 1, PATIENCE_MS) == 1;
	}
	kb_wake_disarm(wake);
	return woken;
}

static inline void end_child(pid_t child)
{
	int status;
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#endif
