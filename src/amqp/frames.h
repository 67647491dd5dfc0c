/*
 * Writes AMQP 0-9-1 frames into a buffer of ours, with librabbitmq's encoders.
 *
 * librabbitmq's own amqp_basic_publish() writes to the socket three times a message and blocks when it is full.
 * Gathered here, hundreds of messages leave with one call that writes what the socket takes: spec/bench measures what
 * that is worth.
 */
#ifndef KB_AMQP_FRAMES_H
#define KB_AMQP_FRAMES_H

#include <amqp.h>
#include <amqp_framing.h>
#include "core/message.h"

/* basic.publish with its header and as many body frames as frame_max (bytes, from tuning) asks for. Content-Type
 * application/json, persistent. False: exchange, routing key, headers or properties are not what the protocol allows;
 * nothing was written. */
bool kb_amqp_frames_put_publish(
	struct kb_buf *out, amqp_channel_t channel, const struct kb_message *m, size_t frame_max);

/* A method without content; false when it does not encode. */
bool kb_amqp_frames_put_method(struct kb_buf *out, amqp_channel_t channel, amqp_method_number_t id, void *fields);

void kb_amqp_frames_put_heartbeat(struct kb_buf *out);

#endif
