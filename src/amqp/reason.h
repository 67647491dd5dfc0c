/* Why a call of librabbitmq failed. */
#ifndef KB_AMQP_REASON_H
#define KB_AMQP_REASON_H

#include <amqp.h>

/* The reason in a reply that is not normal; for a log line, valid until the next call. */
const char *kb_amqp_reason_of(amqp_rpc_reply_t reply);

/* The same for a frame with the broker's channel.close or connection.close. */
const char *kb_amqp_reason_in(const amqp_frame_t *frame);

#endif
