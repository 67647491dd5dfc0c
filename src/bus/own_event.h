/* The module's own events, which go to the workers like messages: a JSON object with a key and a subkey, which name the
 * route: kazoo:consumer-event-KEY-SUBKEY. */
#ifndef KB_BUS_OWN_EVENT_H
#define KB_BUS_OWN_EVENT_H

#include "bus/turn.h"
#include "core/log.h"

/* Where the events of one connection go. Zero-initialise what is not given here. */
struct kb_own_events {
	struct kb_turn to;  /* the workers, by an inbox that nobody else writes to; without one there are no events */
	bool keep_outcomes; /* the inbox has messages, too, whose outcomes the loop takes back */
	const char *bus;    /* goes in front of log lines; NULL: nothing does */
	const char *zone, *address;
	const char *connection; /* its name, in the payload of the events of the connection itself */
	uint32_t broker;        /* as in kb_origin */
	struct kb_log_limit lost;
};

/* `connection` with the state as subkey, and why, or NULL. */
void kb_own_event_connection(struct kb_own_events *events, const char *state, const char *reason);

/* `message` with what became of it as subkey. A payload that does not fit is left out. */
void kb_own_event_message(
	struct kb_own_events *events, const char *what, const struct kb_message *m, const char *reason);

#endif
