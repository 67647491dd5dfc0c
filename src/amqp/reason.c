#include "amqp/reason.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <stdio.h>

const char *kb_amqp_reason_of(amqp_rpc_reply_t reply)
{
	static char text[300];
	if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
		return amqp_error_string2(reply.library_error);
	if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION)
		return "no reply from the broker";
	unsigned code = 0;
	amqp_bytes_t why = amqp_empty_bytes;
	if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
		const amqp_channel_close_t *close = reply.reply.decoded;
		code = close->reply_code, why = close->reply_text;
	} else if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
		const amqp_connection_close_t *close = reply.reply.decoded;
		code = close->reply_code, why = close->reply_text;
	}
	snprintf(text, sizeof text, "%u %.*s", code, (int)(why.len > 250 ? 250 : why.len), (const char *)why.bytes);
	return text;
}

const char *kb_amqp_reason_in(const amqp_frame_t *frame)
{
	return kb_amqp_reason_of(
		(amqp_rpc_reply_t){.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION, .reply = frame->payload.method});
}
