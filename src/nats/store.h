/*
 * Messages that a JetStream stream is to store (KB_STORED). Each asks for its acknowledgement at an inbox of this
 * connection, under its number. Those that are not stored now are sent again by the loop; the Nats-Msg-Id in their
 * headers lets the stream drop what it has stored after all.
 *
 * When a message has no responders, its reply does not tell a mistake, that no stream has its subject, from what
 * passes, that the stream has no leader. So the next messages are sent together with a request which streams take their
 * subject.
 *
 * Times are ms of one clock, which the caller hands in as `now`.
 */
#ifndef KB_NATS_STORE_H
#define KB_NATS_STORE_H

#include "bus/broker.h"
#include "nats/inbox.h"
#include "nats/link.h"

enum {
	KB_NATS_STORE_IN_FLIGHT = 8192,                      /* messages without an acknowledgement; a power of two */
	KB_NATS_STORE_INBOX_BYTES = KB_NATS_INBOX_BYTES + 24 /* of the subject where one is acknowledged */
};

enum kb_nats_store_doubt {
	KB_NATS_STORE_NO_DOUBT,
	KB_NATS_STORE_ASKED,    /* the server was asked which streams take it */
	KB_NATS_STORE_REFUSED,  /* it had no responders, and the reply to that is waited for */
	KB_NATS_STORE_NO_STREAM /* no stream takes its subject */
};

struct kb_nats_store_flight {
	int64_t sent_ms;  /* 0: the entry is free */
	uint64_t subject; /* a hash of it */
	enum kb_nats_store_doubt doubt;
	bool foreign; /* something that is not a stream has replied */
};

/* Zero-initialise, then set the prefix. */
struct kb_nats_store {
	const char *inbox_prefix;        /* see kb_nats_inbox_new() */
	char inbox[KB_NATS_INBOX_BYTES]; /* "": nothing subscribed yet */
	uint64_t oldest, next;           /* numbers of the messages in flight: [oldest, next) */
	bool blind;                      /* we may not ask which streams take a subject */
	bool in_doubt;                   /* a message had no responders, and none was stored since */
	int64_t replied_ms;              /* when the last reply came */
	int64_t overtaking_ms;           /* when the youngest message that has its reply was sent */
	struct kb_nats_store_flight *flights;
};

/* Forgets the messages in flight; reset() is for after a lost connection and forgets the inbox, too. */
void kb_nats_store_forget(struct kb_nats_store *s);
void kb_nats_store_reset(struct kb_nats_store *s);
void kb_nats_store_free(struct kb_nats_store *s);

/* Sends one under the next number, *sequence. The first one of a connection subscribes to the inbox under `sid`.
 * KB_BROKER_AGAIN: too many are in flight, or memory is out. */
enum kb_broker_result kb_nats_store_put(struct kb_nats_store *s, struct kb_nats_link *link, uint64_t sid,
	const struct kb_message *m, int64_t now, uint64_t *sequence);

/* Handles a reply at the inbox; calls settled(). */
void kb_nats_store_heed(struct kb_nats_store *s, struct kb_slice subject, struct kb_slice payload,
	struct kb_slice properties, int64_t now, const struct kb_broker_events *events);

/* The server does not let us publish to the subject; calls settled() for the messages in flight to it. */
void kb_nats_store_forbidden(
	struct kb_nats_store *s, struct kb_slice subject, const char *reason, const struct kb_broker_events *events);

/* Gives up what has waited too long; calls settled(). A stream that is only slow replies in turn, so a message is given
 * up when there is no reply at all for two seconds, or when one that was sent two seconds later has its reply. A
 * cluster takes longer to elect another leader (nats-server: 4 s without a sign of the old one, which gives one a
 * second). Otherwise that leader could store what is sent now ahead of what was sent to the old one. */
void kb_nats_store_expire(struct kb_nats_store *s, int64_t now, const struct kb_broker_events *events);

#endif
