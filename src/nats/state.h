/* The inside of a NATS broker, for broker.c and its parts alone: subscriptions.c, outgoing.c, incoming.c.
 */
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
	char address[300];

	struct kb_nats_link link;
	uint32_t generation; /* counts connections */
	size_t unread;       /* bytes published since the last read */
	bool published;      /* since the last process() */

	struct kb_nats_subscription *subscriptions; /* the sid of each is its place in the list, from 1 */
	size_t n_subscriptions;
	bool refused; /* one of them waits to be tried again */
	bool held;    /* the delivery that comes next found no room */

	bool lame_duck;             /* the server is about to close */
	size_t announced;           /* servers of its cluster, as far as it said */
	int64_t leave_at, leave_by; /* ms; when to begin to leave it, and when to be gone; 0: not */

	struct kb_buf headers, properties;

	struct kb_nats_store store;
	struct kb_nats_receipts receipts; /* with config.confirm */
	bool renewing;                    /* what was published is to be sent again */
	struct kb_nats_writer *writer;    /* of acknowledgements while a route runs; NULL until one is needed */
	struct kb_slice offered; /* where the delivery that is being handled is acknowledged; empty: not, or no more */

	struct kb_log_limit bad_subject, bad_headers, too_long, long_delivery, broken_headers, reported;
};

/* -- broker.c -- */

/* Tells the loop of something that has been logged; and what the server says of itself. */
void kb_nats_tell(struct kb_broker *b, const char *name);
void kb_nats_note_slow_consumer(struct kb_broker *b);
void kb_nats_note_info(struct kb_broker *b, const struct kb_nats_op *op);

/* -- subscriptions.c -- */

enum kb_broker_result kb_nats_subscribe(struct kb_broker *b, const struct kb_subscription *config, uint32_t index);

/* The server's words about a subscription that it does not allow, and as much of them as is shown; and once in a while,
 * trying those again. */
void kb_nats_note_refusal(struct kb_broker *b, struct kb_slice text, const char *what, int64_t now);
void kb_nats_retry_refused(struct kb_broker *b, int64_t now);

/* Durable consumers: what has waited too long is asked again; and the state of one has changed. */
void kb_nats_look_after_durables(struct kb_broker *b, int64_t now);
void kb_nats_report_durable(struct kb_broker *b, const struct kb_nats_subscription *s);

/* -- outgoing.c -- */

enum kb_broker_result kb_nats_publish(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence);

/* As in publish_api.h; the loop is told by kb_nats_renew_now(), from process(). */
void kb_nats_renew(struct kb_broker *b);
void kb_nats_renew_now(struct kb_broker *b);

/* -- incoming.c -- */

/* Reads and hands over. True: all that the socket had, as far as the budget goes, was taken. */
bool kb_nats_read_and_deliver(struct kb_broker *b, unsigned left);

enum kb_broker_result kb_nats_settle(struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome);
enum kb_broker_result kb_nats_settle_now(
	struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome, unsigned delay_ms);
enum kb_broker_result kb_nats_progress(struct kb_broker *b, const struct kb_origin *origin);

#endif
