/*
 * A connection to a broker: the contract that each bus implements and that the loops of publisher.c, consumer.c and
 * listener.c drive. The contracts for what happens on the connection are in publish_api.h, consume_api.h and
 * request_api.h. A bus fills those that it has.
 *
 * One kb_broker is one connection at a time, used by one process and one thread. It sleeps only in connect() and
 * subscribe(), and there for at most the connect timeout plus the time that the name lookup takes: publish(), settle()
 * and process() take what the socket takes now. It does not reconnect by itself: after KB_BROKER_LOST the loop calls
 * connect() again.
 *
 * Calls come in this order:
 *
 *     open -> connect -> subscribe* -> (publish | settle | process)* -> connect -> subscribe* -> ... -> close
 */
#ifndef KB_BUS_BROKER_H
#define KB_BUS_BROKER_H

#include "bus/consume_api.h"
#include "bus/publish_api.h"
#include "bus/request_api.h"
#include "bus/result.h"
#include "net/tls_options.h"

struct kb_broker; /* each implementation defines its own */

enum kb_broker_role { KB_ROLE_PUBLISH = 1, KB_ROLE_CONSUME = 2 }; /* or-ed */

struct kb_broker_config {
	const char *const *urls; /* failover list, in order; owned by the caller, who keeps it for the life of the broker */
	size_t n_urls;
	const char *client_name; /* shown by the broker's own tools */
	enum kb_broker_role role;
	int connect_timeout_ms; /* for one address, up to the last step of the handshake. The name lookup counts but is not
							   cut short, because the system's resolver has timeouts of its own */
	int heartbeat_s;        /* 0: none */
	size_t message_max;     /* bytes; longer deliveries are refused with one log line */
	struct kb_tls_options tls;
	uint32_t index; /* goes into kb_origin.broker */
	bool confirm;   /* on a bus whose protocol confirms nothing: settle a message when the broker has read it, not when
					   it is sent */
	struct kb_connection *traffic; /* counts what passes (traffic.h); may be NULL */
	const void *options; /* of this bus alone, declared in its broker.h, kept by the caller; NULL: its defaults */
};

/* How the broker calls back. Everything here is called from inside process(), publish() or subscribe(), on the caller's
 * thread. */
struct kb_broker_events {
	void *context;

	/* The broker accepts no messages for now, and why; or accepts them again. A new connection is never blocked. May be
	 * NULL. */
	void (*blocked)(void *context, bool blocked, const char *reason);

	/* Something about the connection that does not end it by itself: a name of letters and `-`, such as "lame-duck".
	 * Already logged. May be NULL. */
	void (*notice)(void *context, const char *name);

	struct kb_publish_events publish;
	struct kb_consume_events consume;
	struct kb_request_events request;
};

struct kb_broker_api {
	const char *name; /* "amqp", "nats" */

	/* NULL and a log line when a URL cannot be read: *bad_url is its index. Connects to nothing. */
	struct kb_broker *(*open)(
		const struct kb_broker_config *config, const struct kb_broker_events *events, size_t *bad_url);

	/* Ends the connection in good order if there is one; NULL is fine. */
	void (*close)(struct kb_broker *b);

	/* One attempt at an address of the list: after a lost connection the next one, or the same one once more.
	 * KB_BROKER_OK or KB_BROKER_LOST; logs one line either way: to where, as whom, never the password. Forgets messages
	 * that were published on the previous connection and not settled: the loop sends them again. */
	enum kb_broker_result (*connect)(struct kb_broker *b);

	/* The address in use or last tried, "host:port", valid until the next connect(). */
	const char *(*address)(const struct kb_broker *b);

	/* Writes what waits, reads what is there, calls back for at most `max_messages` deliveries. 0: the caller knows
	 * that there is nothing to read. KB_BROKER_AGAIN: there is more, and poll() may not see it. */
	enum kb_broker_result (*process)(struct kb_broker *b, unsigned max_messages);

	/* What to poll for before the next process(): a descriptor, its events, and the time in ms after which to call
	 * anyway (-1: none). */
	int (*poll_fd)(const struct kb_broker *b);
	short (*poll_events)(const struct kb_broker *b);
	int (*poll_timeout_ms)(const struct kb_broker *b);

	const struct kb_publish_api *publish;
	const struct kb_consume_api *consume;
};

#endif
