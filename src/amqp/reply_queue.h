/* Where the replies to requests over AMQP come: a queue of each connection of the requester (bus/requester.h). */
#ifndef KB_AMQP_REPLY_QUEUE_H
#define KB_AMQP_REPLY_QUEUE_H

#include "bus/requester.h"

/* The exchange for replies, of type direct. */
#define KB_AMQP_REPLY_EXCHANGE "targeted"

enum { KB_AMQP_REPLY_ADDRESS_BYTES = 256 };

/* The context of kb_amqp_reply_queue: set `replies` and `prefix`, the rest is its own. */
struct kb_amqp_reply_queue {
	struct kb_replies *replies; /* whose generation counts the connections */
	const char *prefix;
	const char *key;
	struct kb_buf id;
	struct kb_subscription subscription;
};

/* The name of the queue, which is its routing key, too: "PREFIX-targeted-N", another one for each connection, so that
 * no reply goes to one that has ended. The text lies in a buffer of the function; a process has one prefix. */
struct kb_slice kb_amqp_reply_queue_address(const struct kb_replies *replies, const char *prefix);

/* A reply names its request in Msg-ID, a field of its JSON payload, or in the property correlation-id. Of several
 * properties of that name in a request, the last one counts. */
extern const struct kb_requester_bus kb_amqp_reply_queue;

#endif
