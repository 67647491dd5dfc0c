/*
 * What to consume. AMQP uses all of it and declares exchanges, queue and bindings again on each connection. NATS takes
 * routing[0] as the subject and queue.name, when not empty, as the queue group, or consumes `durable`.
 *
 * Strings are NUL-terminated and never NULL unless it says so.
 */
#ifndef KB_BUS_SUBSCRIPTION_H
#define KB_BUS_SUBSCRIPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kb_exchange {
	const char *name, *type;
	const char *arguments; /* a JSON object of integers, booleans, strings and objects; NULL: none */
	bool passive, durable, auto_delete, internal;
	bool as_it_is; /* where it exists with other properties it is used all the same, with a warning */
};

struct kb_queue {
	const char *name;      /* "": the broker chooses */
	const char *arguments; /* as those of an exchange */
	bool passive, durable, exclusive, auto_delete;
};

/* Another exchange whose messages go on to that of the subscription. */
struct kb_exchange_binding {
	struct kb_exchange source;
	const char *const *routing;
	size_t n_routing;
};

/* A consumer of JetStream that outlives its connections and is shared by all that name it. Names are words without dots
 * and wildcards; 0 and NULL leave a field to the server. */
struct kb_durable {
	const char *stream, *name;
	const char *filter;  /* the subjects that it is for; NULL: all of the stream */
	const char *deliver; /* where it starts when it is created: "all", "new", "last" */
	int ack_wait_ms;     /* until a message that was not acknowledged is delivered again */
	int max_deliver;     /* times that a message is delivered */
	int max_ack_pending; /* messages that may wait for their acknowledgement */
};

struct kb_subscription {
	struct kb_exchange exchange;
	struct kb_queue queue;
	const char *const *routing;
	size_t n_routing;
	const struct kb_exchange_binding *exchange_bindings;
	size_t n_exchange_bindings;
	const char *consumer_tag;             /* NULL or "": the broker chooses */
	uint16_t prefetch;                    /* messages that may wait for their acknowledgement; 0: no bound */
	bool no_ack;                          /* the broker forgets a message as soon as it has sent it */
	bool wait_for_consumer_ack;           /* acknowledge when the worker is done, not on receipt */
	bool federate;                        /* consume in the other zones too */
	const char *worker_key;               /* field of the payload: equal values, same worker. NULL: each in turn */
	const char *event_key, *event_subkey; /* "": the default */
	const struct kb_durable *durable;     /* consume from a stream instead of a subject; NULL: do not */
};

#endif
