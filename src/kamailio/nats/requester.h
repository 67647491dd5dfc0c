/* The requester: the process whose connection sends requests and receives their replies. */
#ifndef KB_KAMAILIO_NATS_REQUESTER_H
#define KB_KAMAILIO_NATS_REQUESTER_H

#include <stdbool.h>

#include "core/outbox.h"
#include "core/replies.h"
#include "core/uuid.h"
#include "kamailio/nats/settings.h"

/* The process is wanted when the routes call a function that sends requests, or a KEMI script might. In mod_init: how
 * many processes there may be. In child_init(PROC_INIT): whether it is wanted, and its memory; `suspending`: for the
 * requests of suspended transactions, too. In child_init(PROC_MAIN): the process. */
int kn_requester_processes(void);
bool kn_requester_init(bool suspending);
bool kn_requester_fork(void);

/* Both NULL when no requester is wanted, or before the start. */
struct kb_outbox *kn_requester_outbox(void);
struct kb_replies *kn_requester_replies(void);

/* PREFIX.ID: the replies to requests of this server come to subjects of one word more. */
enum { KN_INBOX_BYTES = KN_INBOX_PREFIX_MAX + 1 + KB_UUID_SHORT_CHARS + 1 };
const char *kn_requester_inbox(void);

/* How many requests of nats_request_async may be in flight. */
size_t kn_requester_most(void);

#endif
