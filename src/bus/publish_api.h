/* Publishing over a connection: what the loop of publisher.c calls, and how the broker answers. */
#ifndef KB_BUS_PUBLISH_API_H
#define KB_BUS_PUBLISH_API_H

#include "bus/result.h"
#include "core/message.h"
#include "core/ring.h"

struct kb_broker;

enum kb_requeue_cause {
	KB_RENEWED,      /* by renew() */
	KB_NO_EXCHANGE,  /* one of them goes to an exchange that the broker does not have */
	KB_OFFENDED,     /* the broker objects to one of them */
	KB_BROKER_FAILED /* perhaps because of one of them, which is not at fault */
};

/* See kb_broker_events. Those that may be NULL are called only by a bus that has such a thing. */
struct kb_publish_events {
	/* The outcome of the message that publish() numbered `sequence`; with `multiple` also of all earlier ones that are
	 * still open. KB_PENDING: refused, perhaps only for now. `reason` says why for all but KB_DONE. */
	void (*settled)(void *context, uint64_t sequence, bool multiple, enum kb_outcome outcome, const char *reason);

	/* All open messages have to be sent again. `reason` is the broker's, NULL with KB_RENEWED. */
	void (*requeue)(void *context, enum kb_requeue_cause cause, const char *reason);

	/* A message came back because it reached no queue; its KB_DONE follows all the same. Valid only during the call;
	 * without a payload when that is longer than message_max. May be NULL. */
	void (*returned)(void *context, const struct kb_message *m, const char *reason);

	/* The reply to look_up_exchange(): the exchange is missing and why; or it exists, or the broker cannot tell. May be
	 * NULL. */
	void (*exchange)(void *context, bool missing, const char *why);
};

struct kb_publish_api {
	bool has_exchanges; /* messages go to an exchange with a routing key; otherwise to a subject, which is their key */

	/* Numbers the message and takes it, or does neither. *sequence 0: settled already, and no settled() follows. A bus
	 * that confirms messages settles requests (KB_EXPIRES) that way; one that does not settles all that way except
	 * KB_STORED, and with config.confirm only requests. One broker gets either KB_STORED messages or others. */
	enum kb_broker_result (*publish)(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence);

	/* Replaces the channel that messages are published on, after one was refused: publish() takes none until requeue()
	 * has said KB_RENEWED. NULL: the bus has nothing to replace. */
	void (*renew)(struct kb_broker *b);

	/* Asks whether the exchange exists, one at a time; exchange() has the reply. KB_BROKER_INVALID: this connection
	 * cannot ask. NULL: the bus has no exchanges. */
	enum kb_broker_result (*look_up_exchange)(struct kb_broker *b, struct kb_slice exchange);
};

#endif
