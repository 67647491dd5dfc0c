/*
 * One AMQP connection: made by librabbitmq, written to by us.
 *
 * The library makes TCP connections, declares topology and decodes frames. What we send between those calls are frames
 * of our own in `out` (frames.h), so `out` is flushed before the library writes; heartbeats are ours too, because the
 * library would send them right into a half-written frame.
 */
#ifndef KB_AMQP_LINK_H
#define KB_AMQP_LINK_H

#include <amqp.h>
#include "amqp/address.h"
#include "amqp/tls.h"
#include "bus/broker.h"

/* Zero-initialise: not connected. */
struct kb_amqp_link {
	amqp_connection_state_t connection; /* NULL: none */
	struct kb_amqp_tls *tls;            /* NULL: without */
	struct kb_buf out;                  /* frames that wait for the socket */
	size_t out_sent;                    /* bytes at the front of `out` that are on the wire */
	int64_t out_at;                     /* ms of the last byte sent */
	int64_t alive_at;                   /* ms of the last look at the heartbeat */
	int64_t held_at;                    /* ms of the last such look at a time when nothing was read */
	int heartbeat_s;                    /* as agreed with the broker; 0: none */
	int timeout_ms;                     /* for each thing that waits */
};

enum { KB_AMQP_ALIVE_CHECK_MS = 1000 };

/* Connects and logs in, waiting no longer than the connect timeout a step. NULL, or why not, valid until the next call;
 * then kb_amqp_link_drop() is due. */
const char *kb_amqp_link_open(
	struct kb_amqp_link *link, const struct kb_amqp_address *address, const struct kb_broker_config *config);

/* Ends the connection without a word to the broker, if there is one. */
void kb_amqp_link_drop(struct kb_amqp_link *link);
void kb_amqp_link_free(struct kb_amqp_link *link);

/* The best reason for the end of a connection: what TLS says of it, or else `why`, from a call of the library. */
const char *kb_amqp_link_reason(const struct kb_amqp_link *link, const char *why);

/* Bytes in `out` that wait. */
size_t kb_amqp_link_waiting(const struct kb_amqp_link *link);

/* These return NULL, or why the connection is lost. */

/* Writes what the socket takes now. */
const char *kb_amqp_link_flush(struct kb_amqp_link *link);

/* Before the library writes: everything of ours must be out, waiting no longer than the timeout. */
const char *kb_amqp_link_flush_all(struct kb_amqp_link *link);

/* Sends a heartbeat when one is due, and finds the other side silent for two intervals; `reading` is false while we do
 * not read, when silence cannot be told from our own slowness. */
const char *kb_amqp_link_keep_alive(struct kb_amqp_link *link, bool reading);

#endif
