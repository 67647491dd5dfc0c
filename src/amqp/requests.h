/* The channels that requests go by, one for each exchange, and what the broker says about requests that reach nobody.
 */
#ifndef KB_AMQP_REQUESTS_H
#define KB_AMQP_REQUESTS_H

#include <amqp.h>
#include "core/message.h"

struct kb_broker;
struct kb_amqp_request_channel;

/* Puts a request into the output of the link, on the channel of its exchange. False: it is not what the protocol
 * allows, or the broker allows no channel for it. */
bool kb_amqp_requests_put(struct kb_broker *b, const struct kb_message *m);

/* NULL when no request went by this channel. */
struct kb_amqp_request_channel *kb_amqp_requests_on(struct kb_broker *b, amqp_channel_t channel);

/* A request came back: its properties are in q->returned. */
void kb_amqp_requests_returned(struct kb_broker *b, struct kb_amqp_request_channel *q);

/* The broker has closed the channel, and why. */
void kb_amqp_requests_closed(struct kb_broker *b, struct kb_amqp_request_channel *q, const char *why);

/* All channels are gone with the connection. */
void kb_amqp_requests_clear(struct kb_broker *b);
void kb_amqp_requests_free(struct kb_broker *b);

#endif
