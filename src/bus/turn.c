#include "bus/turn.h"

bool kb_turn_put(struct kb_turn *turn, const struct kb_message *m)
{
	size_t workers = kb_inbox_workers(turn->inbox);
	for (size_t i = 0; i < workers; i++) {
		size_t worker = turn->worker;
		turn->worker = (turn->worker + 1) % workers;
		if (kb_inbox_put(turn->inbox, worker, m))
			return true;
	}
	return false;
}
