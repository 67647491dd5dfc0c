/* The loop of a publisher process: from the outbox to the broker, and confirms back into the outbox. */
#ifndef KB_BUS_PUBLISHER_H
#define KB_BUS_PUBLISHER_H

#include "bus/broker.h"
#include "bus/subscription.h"
#include "core/outbox.h"

struct kb_publisher {
	const struct kb_broker_api *api;
	struct kb_broker_config config;
	struct kb_outbox *outbox;
	struct kb_inbox *inbox; /* for the events of messages and of the connection; NULL: none */
	const char *zone;       /* goes into their payload */
	const char *name;       /* of the connection; goes into the payload and the subkey of its events */
	size_t reader;          /* serves the rings i of the outbox with i % readers == reader */
	bool at_once;           /* never lets messages gather under load (pace.h): somebody waits for each */
	unsigned batch;         /* messages taken from one ring before the next has its turn */
	int timeout_ms;         /* the longest sleep while there is nothing to send (kazoo manual 4.3.2); 0: a second */
	int retry_ms;           /* how long what the broker refuses for now is sent again (retry.h) */
	const struct kb_subscription *subscriptions; /* for which a consumer declares the exchanges, on the same broker */
	size_t n_subscriptions;
	void *context;
	/* For replies on the connection that the requests went by, which counts as open when the subscription to them is
	 * active; all NULL: none are expected. */
	const struct kb_subscription *(*subscription)(void *context); /* for a new connection */
	void (*subscribed)(void *context);                            /* it is active; may be NULL */
	void (*fell)(void *context, const char *reason);              /* it was refused, or has ended; may be NULL */
	bool (*delivered)(void *context, const struct kb_message *m); /* as in kb_consume_events */
	void (*unroutable)(void *context, struct kb_slice exchange, struct kb_slice correlation_id); /* may be NULL */
	void (*too_large)(void *context, const struct kb_message *m, size_t bytes);                  /* may be NULL */
	/* A message that is too long for the protocol or the broker, and is never sent; may be NULL. */
	void (*unsendable)(void *context, const struct kb_message *m);
	void (*sent)(void *context, const struct kb_message *m); /* it is sent, and settled with that; may be NULL */
	void (*forbidden)(
		void *context, struct kb_slice subject, const char *reason);   /* as in the events of the broker; may be NULL */
	void (*connection)(void *context, bool open, const char *address); /* may be NULL */
	void (*notice)(void *context, const char *name);                   /* as in the events of the broker; may be NULL */
	void (*tick)(void *context);                                       /* at least once a second; may be NULL */
	int drain_ms;             /* how long to go on after *stop while there are messages and a connection */
	const volatile int *stop; /* ends the loop when not 0; may be NULL */
};

/* Connects, reconnects for ever with backoff, and returns only on *stop: what is in the outbox then still goes out, as
 * long as the broker takes it and drain_ms allows. */
void kb_publisher_run(const struct kb_publisher *p);

#endif
