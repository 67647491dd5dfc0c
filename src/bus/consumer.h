/* The loop of a consumer process: chooses a worker for each delivery, puts it into the inbox of that worker, and sends
 * their outcomes back as acknowledgements. */
#ifndef KB_BUS_CONSUMER_H
#define KB_BUS_CONSUMER_H

#include "bus/broker.h"
#include "bus/subscription.h"
#include "core/inbox.h"

struct kb_consumer {
	const struct kb_broker_api *api;
	struct kb_broker_config config;
	struct kb_inbox *inbox;
	const struct kb_subscription *subscriptions;
	size_t n_subscriptions;
	bool federated_only;                 /* of the subscriptions, those with `federate` */
	unsigned ack_batch, deliver_batch;   /* kazoo manual 4.2: amqp_consumer_ack_loop_count, amqp_consumer_loop_count */
	int ack_timeout_ms, read_timeout_ms; /* 4.3: the longest sleep while workers owe outcomes, and at all */

	/* What waited at the broker while there was no connection, 4.2.4 and 4.2.5. */
	bool drain_backlog;             /* without regard to deliver_batch */
	bool single_worker_for_backlog; /* all of it to one worker, in order */
	const char *zone;               /* goes into the payload of the module's own events */
	void *context;
	void (*tick)(void *context); /* at least once a second; may be NULL */
	const volatile int *stop;    /* ends the loop when not 0; may be NULL */
};

/* Connects, reconnects for ever with backoff, and returns only on *stop. Connection events (KB_ORIGIN_EVENT, exchange
 * "connection", key "open" or "closed") go to the workers like messages. */
void kb_consumer_run(const struct kb_consumer *c);

#endif
