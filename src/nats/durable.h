/*
 * Consuming a stream through a durable consumer of JetStream: created when it does not exist, then asked for messages a
 * batch at a time, so that none waits here longer than its time for the acknowledgement allows.
 *
 *     CHECKING   the server was asked for the consumer's configuration
 *                -> CREATING when there is no consumer, or its configuration differs from ours; else -> PULLING
 *     CREATING   the server was asked to create it, or to change what our configuration sets otherwise -> PULLING
 *     PULLING    messages come; when half a batch is left, more are asked for
 *     PAUSED     a request was refused or had no reply; after a second -> CHECKING
 *
 * Every state but PAUSED goes on to PAUSED when the server refuses something, or is silent for too long.
 *
 * Times are ms of one clock, which the caller hands in as `now`. Requests are appended to `out`.
 */
#ifndef KB_NATS_DURABLE_H
#define KB_NATS_DURABLE_H

#include "bus/subscription.h"
#include "nats/inbox.h"
#include "core/message.h"

enum kb_nats_durable_state {
	KB_NATS_DURABLE_CHECKING,
	KB_NATS_DURABLE_CREATING,
	KB_NATS_DURABLE_PULLING,
	KB_NATS_DURABLE_PAUSED
};

struct kb_nats_durable {
	const struct kb_durable *config;
	enum kb_nats_durable_state state;
	char inbox[KB_NATS_INBOX_BYTES]; /* of this connection; replies come one word below it */
	int64_t due_ms;                  /* when the state has lasted too long */
	int ack_wait_ms;                 /* as the server has it */
	uint64_t max_deliver;            /* as the server has it; 0: no bound */
	unsigned batch;                  /* messages to ask for at a time */
	unsigned outstanding;            /* messages asked for that have not come */
	unsigned taken;                  /* messages handled since began_ms */
	int64_t began_ms;
	char why[256]; /* why it cannot be used now; "": it can */
};

/* Subscribes to an inbox of its own (kb_nats_inbox_new()) under `sid` and asks for the consumer. `config` must outlive
 * it.
 */
void kb_nats_durable_begin(struct kb_nats_durable *d, const struct kb_durable *config, const char *inbox_prefix,
	struct kb_buf *out, uint64_t sid, int64_t now);

/* True: the message was a reply or a status message of the server, and is handled. False: it is a message of the
 * stream. *news is set when d->why has changed, else left as it is. */
bool kb_nats_durable_heed(
	struct kb_nats_durable *d, const struct kb_message *m, struct kb_buf *out, int64_t now, bool *news);

/* True when a message that was read at `read_ms` has waited here for so long that the server delivers it again; never
 * for its last delivery. */
bool kb_nats_durable_is_late(const struct kb_nats_durable *d, const struct kb_message *m, int64_t read_ms, int64_t now);

/* A message of the stream was handled. */
void kb_nats_durable_taken(struct kb_nats_durable *d, struct kb_buf *out, int64_t now);

/* To be called at least twice a second: leaves a state that has lasted too long. *news as for kb_nats_durable_heed().
 */
void kb_nats_durable_tick(struct kb_nats_durable *d, struct kb_buf *out, int64_t now, bool *news);

#endif
