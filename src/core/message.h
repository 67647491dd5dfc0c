/* A message on its way between processes: its form in memory, and its flat form in a ring record. */
#ifndef KB_CORE_MESSAGE_H
#define KB_CORE_MESSAGE_H

#include <stdint.h>
#include "core/headers.h"

/* Where a delivery came from: what it takes to acknowledge it to the broker. Zero for outgoing messages, except
 * those that expire. */
struct kb_origin {
	uint64_t tag; /* the broker's delivery tag; of an outgoing KB_EXPIRES the last ms (CLOCK_MONOTONIC) it is wanted */
	uint32_t subscription; /* index into the list of subscriptions, or KB_ORIGIN_EVENT */
	uint32_t generation;   /* which connection delivered it: a tag means nothing on the next one */
	uint32_t broker;       /* index into the list of brokers */
	uint32_t flags;        /* KB_REDELIVERED, KB_WANTS_ACK */
};

enum { KB_ORIGIN_EVENT = 0xffffffffu }; /* the module's own event, e.g. an open connection */
enum {
	KB_REDELIVERED = 1,
	KB_WANTS_ACK = 2,
	KB_EXPIRES = 4,
	KB_STORED = 8 /* of an outgoing message of NATS: it is done when a stream has stored it */
};

/* All slices are borrowed: after kb_message_decode() they point into the record and end with it. */
struct kb_message {
	struct kb_slice exchange;   /* AMQP exchange; for the module's own events the event key */
	struct kb_slice key;        /* routing key, subject; for own events the subkey */
	struct kb_slice reply;      /* reply subject */
	struct kb_slice headers;    /* core/headers.h */
	struct kb_slice properties; /* what the protocol itself knows of a message, in the same form: amqp/properties.h */
	struct kb_slice payload;
	struct kb_origin origin;
};

/* Bytes of the flat form. */
size_t kb_message_size(const struct kb_message *m);

/* Writes kb_message_size(m) bytes to `to`, which is aligned to 8. */
void kb_message_encode(const struct kb_message *m, void *to);

/* False when the record is shorter than its own lengths say, which only a bug of ours can cause. */
bool kb_message_decode(const void *from, size_t size, struct kb_message *m);

#endif
