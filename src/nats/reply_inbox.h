/* Where the replies to requests over NATS come: subjects of one inbox, INBOX.ID, where ID is a word that names the
 * request (bus/requester.h). */
#ifndef KB_NATS_REPLY_INBOX_H
#define KB_NATS_REPLY_INBOX_H

#include "bus/requester.h"

/* The context of kb_nats_reply_inbox. */
struct kb_nats_reply_inbox;

/* `inbox` must last as long as the result. NULL on failure. */
struct kb_nats_reply_inbox *kb_nats_reply_inbox_create(const char *inbox);
void kb_nats_reply_inbox_free(struct kb_nats_reply_inbox *inbox); /* NULL is fine */

/* The subscription to all replies, the same on each connection. */
const struct kb_subscription *kb_nats_reply_inbox_subscription(void *inbox);

/* Requests have the reply subject INBOX.ID; the slot gets the encoded message, so that headers and status come with it.
 */
extern const struct kb_requester_bus kb_nats_reply_inbox;

#endif
