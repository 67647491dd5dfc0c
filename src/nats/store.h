/*
 * Messages that a JetStream stream is to store (KB_STORED): each asks for its acknowledgement at an inbox of this
 * connection, under its number. What is not stored now is sent again by the loop; the Nats-Msg-Id in its headers lets
 * the stream drop what it had stored after all.
 *
 * When nobody takes a message, no answer says whether there is no stream for its subject, which is a mistake, or
 * whether the stream has lost its leader, which passes. So the next ones are sent together with the question which
 * streams take their subject.
 */
#ifndef KB_NATS_STORE_H
#define KB_NATS_STORE_H

#include "nats/js.h"
#include "nats/link.h"

enum {
	KB_NATS_UNDER_WAY = 8192,                            /* messages without an acknowledgement; a power of two */
	KB_NATS_STORE_INBOX_BYTES = KB_NATS_INBOX_BYTES + 24 /* where one is acknowledged */
};

enum kb_nats_doubt {
	KB_NATS_NO_DOUBT,
	KB_NATS_ASKED,    /* which streams take it */
	KB_NATS_REFUSED,  /* nobody took it, and the answer to that question is waited for */
	KB_NATS_NO_STREAM /* no stream takes its subject */
};

struct kb_nats_flight {
	int64_t sent_ms;  /* 0: none */
	uint64_t subject; /* a hash of it */
	enum kb_nats_doubt doubt;
	bool foreign; /* somebody who is no stream has answered */
};

/* Zero-initialise but for the prefix. */
struct kb_nats_store {
	const char *inbox_prefix;        /* see kb_nats_inbox() */
	char inbox[KB_NATS_INBOX_BYTES]; /* "": nothing subscribed yet */
	uint64_t oldest, next;           /* numbers: flights are those in [oldest, next) */
	bool blind;                      /* we may not ask which streams take a subject */
	bool in_doubt;                   /* nobody took a message, and none was stored since */
	int64_t answered_ms;             /* when the last answer came */
	int64_t overtaking_ms;           /* when the youngest message that has its answer was sent */
	struct kb_nats_flight *flights;
};

/* Forgets what is on its way; after the connection was lost, the inbox too. */
void kb_nats_store_forget(struct kb_nats_store *s);
void kb_nats_store_reset(struct kb_nats_store *s);
void kb_nats_store_free(struct kb_nats_store *s);

/* Sends one under the next number. KB_BROKER_AGAIN: too many are under way. */
enum kb_broker_result kb_nats_store_put(struct kb_nats_store *s, struct kb_nats_link *link, uint64_t sid,
	const struct kb_message *m, int64_t now, uint64_t *sequence);

/* Answers at the inbox, and what has waited too long for one: calls events->settled(). A stream that is only slow
 * answers in turn; so what waits is given up when nothing answers at all, or when what was sent much later has its
 * answer. It takes less time than a cluster takes to elect another leader (nats-server: 4 s without a sign of the old
 * one, which gives one a second): else that leader would store what is sent now ahead of what was sent to the old one.
 */
void kb_nats_store_heed(struct kb_nats_store *s, struct kb_slice subject, struct kb_slice payload,
	struct kb_slice properties, int64_t now, const struct kb_broker_events *events);
/* The server does not let us publish to the subject. */
void kb_nats_store_forbidden(
	struct kb_nats_store *s, struct kb_slice subject, const char *reason, const struct kb_broker_events *events);
void kb_nats_store_expire(struct kb_nats_store *s, int64_t now, const struct kb_broker_events *events);

#endif
