/* Consuming over a connection: what the loops of consumer.c and listener.c call, and how the broker answers. The
 * requester's subscription to its replies works the same way. */
#ifndef KB_BUS_CONSUME_API_H
#define KB_BUS_CONSUME_API_H

#include "bus/result.h"
#include "core/message.h"
#include "core/ring.h"

struct kb_broker;
struct kb_subscription;

/* See kb_broker_events. Those that may be NULL are called only by a bus that has such a thing. */
struct kb_consume_events {
	/* A message for a subscription; all of it is valid only during the call. False: no room. The broker then keeps it
	 * and offers it again at the next process(), and reads no further until it is taken. */
	bool (*delivered)(void *context, const struct kb_message *m);

	/* A delivery of so many bytes, more than message_max, was refused. Without its payload, valid only during the call.
	 * NULL: a log line says it. */
	void (*too_large)(void *context, const struct kb_message *m, size_t bytes);

	/* A subscription started, and so many messages were waiting in its queue. May be NULL. */
	void (*waiting)(void *context, uint32_t subscription, uint32_t messages);

	/* The reply to count(): so many messages wait in the queue, not counting those in flight to us. May be NULL. */
	void (*counted)(void *context, uint32_t subscription, uint32_t messages);

	/* A subscription was refused, or has ended; already logged, and it is tried again. The end of a connection, which
	 * ends all of them, does not call this. May be NULL. */
	void (*fell)(void *context, uint32_t subscription, const char *reason);
};

struct kb_consume_api {
	/* Starts a subscription on this connection; `s` must outlive it. KB_BROKER_INVALID: the broker refused it, which is
	 * logged with the names; the others go on, and process() tries it again once in a while. One that costs the
	 * connection is KB_BROKER_LOST, and is refused on the following connections for a while. */
	enum kb_broker_result (*subscribe)(struct kb_broker *b, const struct kb_subscription *s, uint32_t index);

	/* Asks the broker how many messages wait for a subscription: counted() has the reply. Does nothing while an earlier
	 * count is open, or when the subscription is not active. NULL: the bus has no such thing. */
	void (*count)(struct kb_broker *b, uint32_t index);

	/* Acknowledges, rejects or requeues a delivery. Origins of an earlier connection are ignored. */
	enum kb_broker_result (*settle)(struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome);

	/* Both only inside delivered(), for the message that it is called with. NULL: the bus has no such thing. */

	/* settle() for a handler that goes on: it is sent when this returns. delay_ms: of KB_REQUEUE, before the
	 * message is delivered again; 0: at once. */
	enum kb_broker_result (*settle_now)(
		struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome, unsigned delay_ms);

	/* Tells the broker that the message is still being worked on. */
	enum kb_broker_result (*progress)(struct kb_broker *b, const struct kb_origin *origin);
};

#endif
