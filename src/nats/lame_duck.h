/*
 * Leaving a server that is about to close (lame duck mode, docs.nats.io) for another one, before it cuts its clients
 * off:
 *
 *     note()        the server has said so; a moment to leave is chosen, when there is another server
 *     tick()        at that moment nothing more is published or asked for, and what is in flight is waited for
 *     may_leave()   there is nothing in flight, or it has been waited for long enough
 *
 * Times are ms of one clock.
 */
#ifndef KB_NATS_LAME_DUCK_H
#define KB_NATS_LAME_DUCK_H

#include "nats/state.h"

/* After an INFO. Does nothing unless it is the first one of the connection that says so. */
void kb_nats_lame_duck_note(struct kb_broker *b, int64_t now);

/* While b->leave_at is set and b->leave_by is not: begins to leave when it is time to. */
void kb_nats_lame_duck_tick(struct kb_broker *b, int64_t now);

/* While b->leave_by is set. */
bool kb_nats_lame_duck_may_leave(const struct kb_broker *b, int64_t now);

#endif
