/*
 * Durable consumers of JetStream as messages (docs.nats.io, "JetStream wire API Reference", "Consumers"): their
 * configuration, requests for messages, and acknowledgements. There is no connection here and no state; durable.h has
 * that.
 */
#ifndef KB_NATS_CONSUMER_H
#define KB_NATS_CONSUMER_H

#include "bus/subscription.h"
#include "core/message.h"
#include "core/ring.h"

/* -- the consumer: each request appends one whole message, whose reply goes to `inbox` -- */

/* Asks for the configuration of the consumer. */
void kb_nats_consumer_put_info(struct kb_buf *out, const struct kb_durable *durable, struct kb_slice inbox);
enum { KB_NATS_CONSUMER_NOT_FOUND = 10014 /* kb_nats_js_reply.error */ };

/* True when one of the fields that `durable` sets has another value in the configuration, a JSON object. */
bool kb_nats_consumer_differs(const struct kb_durable *durable, struct kb_slice config);

/* Creates the consumer, or changes in the configuration `config` what `durable` sets. An empty one: there is no
 * consumer yet. */
void kb_nats_consumer_put_create(
	struct kb_buf *out, const struct kb_durable *durable, struct kb_slice config, struct kb_slice inbox);

/* Asks for `batch` messages within expires_ms, with a heartbeat every heartbeat_ms while there are none. */
void kb_nats_consumer_put_pull(struct kb_buf *out, const struct kb_durable *durable, struct kb_slice inbox,
	unsigned batch, int expires_ms, int heartbeat_ms);

/* -- its messages -- */

/* What the reply subject of a message says, which is where it is acknowledged. */
struct kb_nats_consumer_delivery {
	struct kb_slice stream, consumer; /* parts of the subject */
	uint64_t delivered;               /* times, this one included */
	uint64_t sequence;                /* in the stream */
	uint64_t pending;                 /* messages that wait behind it */
};

/* False: the subject is not one of those. */
bool kb_nats_consumer_delivery_read(struct kb_slice ack_subject, struct kb_nats_consumer_delivery *delivery);

/* Appends the acknowledgement. delay_ms: with KB_REQUEUE, until the message is delivered again; 0: at once. */
void kb_nats_consumer_put_verdict(
	struct kb_buf *out, struct kb_slice ack_subject, enum kb_outcome outcome, unsigned delay_ms);

/* Appends that the message is still being worked on: its time for the acknowledgement starts again. */
void kb_nats_consumer_put_progress(struct kb_buf *out, struct kb_slice ack_subject);

#endif
