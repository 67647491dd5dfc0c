/*
 * One connection of nats.c, without threads on the way of a message: the library is told that an event loop of ours
 * does the reading and writing, and kb_nats_link_read() and kb_nats_link_write() are that loop. The library's own
 * threads are left with the ping timer, which also closes a connection that does not answer, and with reporting errors;
 * what they touch here is atomic or has a lock.
 */
#ifndef KB_BROKER_NATS_LINK_H
#define KB_BROKER_NATS_LINK_H

#include <nats/nats.h>
#include <stdatomic.h>
#include "broker/broker.h"
#include "broker/nats_servers.h"

/* Zero-initialise. Must not move while it is open. */
struct kb_nats_link {
	natsConnection *nc; /* NULL: not open */
	natsSock fd;        /* as long as it is not closed */
	atomic_bool wants_write, closed, detached;
	bool heard;          /* the server has said something on this connection */
	bool insists_on_tls; /* it did on one of them */
};

/* Starts the library when needed, so never before the last fork. False, and why. */
bool kb_nats_link_open(struct kb_nats_link *link, const struct kb_nats_server *server,
	const struct kb_broker_config *config, char *why, size_t size);

/* What the socket takes, or has, now. Neither waits. */
void kb_nats_link_write(struct kb_nats_link *link);
void kb_nats_link_read(struct kb_nats_link *link);

/* True when the connection is gone, and why: then it only can be closed. */
bool kb_nats_link_lost(struct kb_nats_link *link, char *why, size_t size);

static inline bool kb_nats_link_up(const struct kb_nats_link *link)
{
	return link->nc && !atomic_load_explicit(&link->closed, memory_order_relaxed);
}

/* Some bytes wait for the socket to take them. */
static inline bool kb_nats_link_wants_write(const struct kb_nats_link *link)
{
	return atomic_load_explicit(&link->wants_write, memory_order_relaxed);
}

/* Waits up to linger_ms until the server has all that was published; 0 gives up what is not written. */
void kb_nats_link_close(struct kb_nats_link *link, int linger_ms);

/* Ends the library's threads; for when no link of this process is open. */
void kb_nats_link_end_library(void);

/* The text of an error that the library reported since the last call, from whatever connection. False: none. */
bool kb_nats_link_error(char *what, size_t size);

#endif
