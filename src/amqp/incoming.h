/* What an AMQP broker says, frame by frame. */
#ifndef KB_AMQP_INCOMING_H
#define KB_AMQP_INCOMING_H

#include <amqp.h>
#include <stdbool.h>
#include "bus/result.h"

struct kb_broker;

/* Handles one frame; *delivered counts contents. KB_BROKER_AGAIN: a message is held, and nothing more may be read. */
enum kb_broker_result kb_amqp_incoming_frame(struct kb_broker *b, const amqp_frame_t *frame, unsigned *delivered);

/* Offers the held message again. False: still nobody has room. */
bool kb_amqp_incoming_offer_held(struct kb_broker *b);

#endif
