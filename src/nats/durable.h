/*
 * Consuming a stream through a durable consumer of JetStream: made when it is not there, then asked for messages a
 * batch at a time, so that none waits here longer than its time for the acknowledgement allows.
 *
 *     ASKING    the server was asked what the consumer is like; it answers, or is asked again
 *     MAKING    it was asked to make it, or to change what the configuration says otherwise
 *     PULLING   messages come; when half a batch is left, more are asked for
 *     WAITING   something was refused: it is tried again after a pause
 */
#ifndef KB_NATS_DURABLE_H
#define KB_NATS_DURABLE_H

#include "nats/js.h"

enum kb_nats_durable_state { KB_NATS_ASKING, KB_NATS_MAKING, KB_NATS_PULLING, KB_NATS_WAITING };

struct kb_nats_durable {
	const struct kb_durable *config;
	enum kb_nats_durable_state state;
	char inbox[KB_NATS_INBOX_BYTES]; /* of this connection; answers come one word below it */
	int64_t due_ms;                  /* when the state has lasted too long */
	int ack_wait_ms;                 /* as the server has it */
	uint64_t max_deliver;            /* as the server has it; 0: no bound */
	unsigned batch;                  /* messages to ask for at a time */
	unsigned outstanding;            /* messages asked for that have not come */
	unsigned taken;                  /* since began_ms */
	int64_t began_ms;
	char why[256]; /* it cannot be used now; "": it can */
};

/* Subscribes to its inbox (kb_nats_inbox()) under `sid` and asks for the consumer. */
void kb_nats_durable_begin(struct kb_nats_durable *d, const struct kb_durable *config, const char *inbox_prefix,
	struct kb_buf *out, uint64_t sid);

/* True for an answer of the server, which it handles; false for a message of the stream. *news: d->why has changed. */
bool kb_nats_durable_answer(struct kb_nats_durable *d, const struct kb_message *m, struct kb_buf *out, bool *news);

/* True when a message that was read at `read_ms` has waited here for so long that it is delivered again already; never
 * for its last delivery. */
bool kb_nats_durable_is_late(const struct kb_nats_durable *d, const struct kb_message *m, int64_t read_ms);

/* A message of the stream was handled. */
void kb_nats_durable_taken(struct kb_nats_durable *d, struct kb_buf *out);

/* At least twice a second: asks again where an answer did not come. */
void kb_nats_durable_tick(struct kb_nats_durable *d, struct kb_buf *out, bool *news);

#endif
