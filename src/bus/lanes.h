/* What a publisher sends from the rings of the outbox, in which order, and what waits. */
#ifndef KB_BUS_LANES_H
#define KB_BUS_LANES_H

#include "bus/publisher_state.h"

/* Each lane in turn, beginning where the last call stopped. */
void kb_lanes_send(struct kb_publishing *l);

/* False: nothing may be sent now, whatever there is. */
bool kb_lanes_open(const struct kb_publishing *l);
bool kb_lanes_have_work(const struct kb_publishing *l);

/* Refused messages have their next try on a new channel, once everything in flight has its outcome. */
void kb_lanes_renew_when_due(struct kb_publishing *l);

/* ms, or less when a lane resumes or an exchange is looked up before. */
int kb_lanes_until_due(const struct kb_publishing *l, int ms);

/* False when memory is out. */
bool kb_lanes_make_exchanges(struct kb_publishing *l, size_t writers);

/* On a new connection: those that the consumer declares, which has a connection of its own. */
void kb_lanes_expect_exchanges(struct kb_publishing *l);
void kb_lanes_look_up_exchange(struct kb_publishing *l);

/* For kb_publish_events. */
void kb_lanes_on_exchange(void *context, bool missing, const char *why);

#endif
