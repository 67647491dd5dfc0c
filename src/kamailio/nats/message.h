/* Messages that scripts send: built from the parameters of a call and put into an outbox. */
#ifndef KB_KAMAILIO_NATS_MESSAGE_H
#define KB_KAMAILIO_NATS_MESSAGE_H

#include <stdbool.h>

#include "core/message.h"
#include "core/outbox.h"

/* Fills *m for one call of kn_message_send(). Headers are `k=v;k2=v2`; their parsed form lies in a buffer of the
 * function that its next call overwrites. The other parts stay the caller's. An empty reply subject means none. False
 * when a part cannot be sent: counted, with a log line that begins with the name of the script's function. */
bool kn_message_build(const char *function, struct kb_slice subject, struct kb_slice payload, struct kb_slice reply,
	struct kb_slice headers, struct kb_message *m);

/* For a call whose parameters cannot be sent, after the log line: counts it and returns -1. */
int kn_message_refuse(void);

/* True when the outbox has room for it. False and a log line otherwise, and before the start, when the outbox is NULL.
 */
bool kn_message_fits(const char *function, struct kb_outbox *outbox, const struct kb_message *m);

/* Puts it into an outbox, which may be NULL before the start: 1, or -1 and a log line. */
int kn_message_send(const char *function, struct kb_outbox *outbox, const struct kb_message *m);

#endif
