/* The reply to the last request of this process, as routes see it ($natsAnswer and its like), and how requests end. */
#ifndef KB_KAMAILIO_NATS_REPLY_H
#define KB_KAMAILIO_NATS_REPLY_H

#include <core/parser/msg_parser.h>
#include <core/pvar.h>

#include "core/message.h"
#include "core/reply.h"

/* The outcome of a request, as scripts see it. */
enum kn_outcome { KN_REPLIED = 1, KN_FAILED = -1, KN_TIMEOUT = -2, KN_NO_RESPONDERS = -3 };

/* NULL when the last request failed. Valid until the next request of this process begins. */
const struct kb_message *kn_reply_message(void);
void kn_reply_forget(void);

/* Why the last request failed, a word or two for scripts ($natsError); `why` must last until the next request. */
void kn_reply_set_error(const char *why);

/* For a request that is not sent, which is logged already: counts it and returns KN_FAILED. NULL for `why`: "refused".
 */
int kn_reply_refuse(const char *why);

/* See struct kb_request_kind: enum kn_outcome. `flat` is an encoded message, which stays where it is and must last as
 * long as kn_reply_message(). */
int kn_reply_ended(
	const char *function, struct kb_slice subject, enum kb_reply_state state, struct kb_slice flat, int64_t started_us);

/* $natsAnswer, $natsAnswerHdr(name), $natsAnswerStatus, $natsError */
int kn_reply_pv(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_reply_pv_header(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_reply_pv_status(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_reply_pv_error(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);

#endif
