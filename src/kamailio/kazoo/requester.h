/* What the requester, which sends requests and receives their replies, shares with the processes that wait for them:
 * the slots for replies, and the reply address. */
#ifndef KB_KAMAILIO_KAZOO_REQUESTER_H
#define KB_KAMAILIO_KAZOO_REQUESTER_H

#include "core/replies.h"

/* In child_init(PROC_INIT): the memory. Replies to claimed slots go to `shares` processes. */
bool kz_requester_init(size_t shares);

/* NULL before that. */
struct kb_replies *kz_requester_replies(void);

/* `kamailio@<host>-<pid>-<random>`: the part of the reply address that stays. In a container that was killed and starts
 * again the process id is the same. */
const char *kz_requester_prefix(void);

/* The reply address (Server-ID, reply_to) of the connection as it is now; empty before kz_requester_init(). */
struct kb_slice kz_requester_address(void);

/* The log line of a request that amqp_max_requests refuses. */
void kz_requester_log_too_many(const char *function);

#endif
