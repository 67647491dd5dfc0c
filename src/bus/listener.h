/* The loop of a process that handles its deliveries itself, on its main thread (nats manual: a process for each
 * subject_queue_group). */
#ifndef KB_BUS_LISTENER_H
#define KB_BUS_LISTENER_H

#include "bus/broker.h"
#include "bus/delivery.h"
#include "bus/subscription.h"

struct kb_listener {
	const struct kb_broker_api *api;
	struct kb_broker_config config;
	const struct kb_subscription *subscriptions;
	size_t n_subscriptions;
	void *context;
	/* As in kb_broker_events; `d` is valid during the call. */
	bool (*delivered)(void *context, const struct kb_message *m, struct kb_delivery *d);
	void (*connection)(void *context, bool open, const char *address); /* the connection opened or closed */
	void (*notice)(void *context, const char *name);                   /* as in kb_broker_events; may be NULL */
	void (*tick)(void *context);                                       /* at least once a second; may be NULL */
	const volatile int *stop;                                          /* ends the loop when not 0; may be NULL */
};

/* Connects, reconnects for ever with backoff, and returns only on *stop, or at once when a URL cannot be read. */
void kb_listener_run(const struct kb_listener *l);

#endif
