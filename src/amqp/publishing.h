/* The channel that messages are published on, and what the broker says on it. */
#ifndef KB_AMQP_PUBLISHING_H
#define KB_AMQP_PUBLISHING_H

#include <amqp.h>
#include "bus/publish_api.h"

extern const struct kb_publish_api kb_amqp_publishing;

/* Opens the channel in confirm mode. NULL, or why not; the connection is then of no use. */
const char *kb_amqp_publishing_open(struct kb_broker *b);

/* True when this is its channel. A connection that only consumes has none. */
bool kb_amqp_publishing_on(const struct kb_broker *b, amqp_channel_t channel);

/* basic.ack (KB_DONE) or basic.nack (KB_PENDING). */
void kb_amqp_publishing_confirmed(struct kb_broker *b, uint64_t tag, bool multiple, enum kb_outcome outcome);

/* channel.close: the broker objects to one of the messages. Opens the channel again. KB_BROKER_OK or _LOST. */
enum kb_broker_result kb_amqp_publishing_closed(struct kb_broker *b, const amqp_frame_t *frame);

/* channel.close-ok: the channel that renew() closed is opened again. KB_BROKER_OK or KB_BROKER_LOST. */
enum kb_broker_result kb_amqp_publishing_ended(struct kb_broker *b);

/* connection.close with this code: open messages may be the reason. */
void kb_amqp_publishing_lost(struct kb_broker *b, unsigned code, const char *why);

/* basic.return, whose content follows; and that content is complete. */
void kb_amqp_publishing_begin_return(struct kb_broker *b, const amqp_frame_t *frame);
void kb_amqp_publishing_finish_return(struct kb_broker *b);

/* The channel is gone with the connection. */
void kb_amqp_publishing_clear(struct kb_broker *b);
void kb_amqp_publishing_free(struct kb_broker *b);

#endif
