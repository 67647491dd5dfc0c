/* Asking the broker whether it has an exchange. On a channel of its own: the reply that it has not costs the channel.
 */
#ifndef KB_AMQP_LOOKUP_H
#define KB_AMQP_LOOKUP_H

#include <amqp.h>
#include "bus/result.h"
#include "core/slice.h"

struct kb_broker;

/* look_up_exchange() of publish_api.h. */
enum kb_broker_result kb_amqp_lookup_exchange(struct kb_broker *b, struct kb_slice exchange);

/* True for a frame of the lookup's channel, which is handled then. */
bool kb_amqp_lookup_frame(struct kb_broker *b, const amqp_frame_t *frame);

/* The channel is gone with the connection. */
void kb_amqp_lookup_clear(struct kb_broker *b);

#endif
