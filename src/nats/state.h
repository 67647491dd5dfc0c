/* The state of a connection, which broker.c and its parts share: subscriptions.c, outgoing.c, incoming.c, settle.c,
 * errors.c, notices.c and lame_duck.c. */
#ifndef KB_NATS_STATE_H
#define KB_NATS_STATE_H

#include "bus/broker.h"
#include "bus/subscription.h"
#include "nats/durable.h"
#include "nats/link.h"
#include "nats/receipts.h"
#include "nats/servers.h"
#include "nats/store.h"
#include "nats/writer.h"
#include "core/log.h"

enum { KB_NATS_STORE_SID = 1 << 30 /* of the acknowledgements of streams, beyond those of subscriptions */ };

struct kb_nats_subscription {
	const struct kb_subscription *config;
	uint32_t index;
	int64_t retry_at;               /* ms; 0: the server has not refused it */
	struct kb_nats_durable durable; /* when config->durable is set */
};

struct kb_broker {
	struct kb_broker_config config;
	struct kb_broker_events events;
	struct kb_nats_servers servers;
	const struct kb_nats_server *server; /* of this connection */
	char address[300];                   /* its, "host:port" */
	bool trusted;                        /* see kb_nats_server_equip() */

	struct kb_nats_link link;
	uint32_t generation; /* counts connections */
	size_t unread;       /* bytes published since the last read */
	bool published;      /* since the last process() */

	struct kb_nats_subscription *subscriptions; /* the sid of each is its place in the list, from 1 */
	size_t n_subscriptions;
	bool refused; /* one of them waits to be tried again */
	bool held;    /* the delivery that comes next found no room */

	bool lame_duck;             /* the server is about to close */
	size_t announced;           /* servers of its cluster that it has named */
	int64_t leave_at, leave_by; /* ms; when to begin to leave it, and when to have left; 0: it stays */

	struct kb_buf headers, properties;

	struct kb_nats_store store;
	struct kb_nats_receipts receipts; /* with config.confirm */
	bool renewing;                    /* open messages have to be sent again */
	struct kb_nats_writer *writer;    /* of acknowledgements while a route runs; NULL until one is needed */
	struct kb_slice offered; /* the subject where the delivery that is being handled is acknowledged; empty: it is not,
								or it has been */

	struct kb_log_limit bad_subject, bad_headers, too_long, long_delivery, broken_headers, reported;
};

#endif
