/* Handing a message to the next worker, where neither a key nor a backlog decides which one (consumer.c). */
#ifndef KB_BUS_TURN_H
#define KB_BUS_TURN_H

#include "core/inbox.h"

struct kb_turn {
	struct kb_inbox *inbox; /* NULL: there are no workers */
	size_t worker;          /* that gets the next message */
};

/* To the next worker that has room. False: none has. */
bool kb_turn_put(struct kb_turn *turn, const struct kb_message *m);

#endif
