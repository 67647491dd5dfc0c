/* How long a loop waits before it tries to connect again: pauses double, so that a broker that is down is left alone,
 * and have a jitter, so that the processes of many machines do not come back at the same moment. */
#ifndef KB_BUS_BACKOFF_H
#define KB_BUS_BACKOFF_H

#include <stdint.h>

enum {
	KB_BACKOFF_FIRST_MS = 100,
	KB_BACKOFF_MAX_MS = 5000,
	KB_BACKOFF_STEADY_MS = 2000 /* a connection that lasts this long is a good one */
};

/* Zero-initialise. */
struct kb_backoff {
	int ceiling_ms;    /* of the next pause; 0: none since the start or the last reset */
	int64_t opened_ms; /* when the last connection opened */
	uint64_t random;   /* state of the jitter; 0: taken from the system at the first call */
};

/* The next pause in ms: random between half of a ceiling and the ceiling, which doubles from FIRST to MAX. */
int kb_backoff_next_ms(struct kb_backoff *b);

/* Call when a connection is open, and when it is lost, with ms of one clock. After a good one the next pause is short
 * again. One that is lost soon after it opened, again and again, is not good: a message may be the reason. */
void kb_backoff_opened(struct kb_backoff *b, int64_t now_ms);
void kb_backoff_lost(struct kb_backoff *b, int64_t now_ms);

#endif
