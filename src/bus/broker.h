/*
 * A message bus, as the loops of publisher.c, consumer.c and listener.c drive it.
 *
 * One kb_broker is one connection at a time, used by one process and one thread. It never sleeps but in connect() and
 * subscribe(), and there no longer than the connect timeout, the look-up of a name aside: publish(), settle() and
 * process() take what the socket takes now. It does not reconnect by itself: after KB_BROKER_LOST the loop calls
 * connect() again, which goes on to the next address, over AMQP after one more try at the same.
 *
 * Calls come in this order:
 *
 *     open -> connect -> subscribe* -> (publish | settle | process)* -> connect -> subscribe* -> ... -> close
 */
#ifndef KB_BUS_BROKER_H
#define KB_BUS_BROKER_H

#include "core/message.h"
#include "core/ring.h"
#include "net/tls_options.h"

struct kb_broker; /* each implementation has its own, with nothing in common */

enum kb_broker_result {
	KB_BROKER_OK = 0,
	KB_BROKER_AGAIN = 1,   /* not now: call process() and try again */
	KB_BROKER_LOST = -1,   /* no connection, or no longer */
	KB_BROKER_INVALID = -2 /* this one call can never succeed; the connection stands */
};

enum kb_requeue_cause {
	KB_RENEWED,      /* by renew() */
	KB_NO_EXCHANGE,  /* one of them goes to an exchange that the broker does not have */
	KB_OFFENDED,     /* one of them is not to the broker's liking */
	KB_BROKER_FAILED /* perhaps over one of them, by no fault of it */
};

/* How the broker calls back. All are called from inside process(), publish() or subscribe(), on the caller's thread. */
struct kb_broker_events {
	void *context;

	/* What became of the message that publish() numbered `sequence`; with `multiple` of all before it too that are
	 * still open. KB_PENDING: refused, perhaps only for now. `reason` says why for all but KB_DONE. */
	void (*settled)(void *context, uint64_t sequence, bool multiple, enum kb_outcome outcome, const char *reason);

	/* All messages that are open are to be sent again. `reason` is the broker's, NULL with KB_RENEWED. */
	void (*requeue)(void *context, enum kb_requeue_cause cause, const char *reason);

	/* The answer to ask_exchange(): the exchange is missing and why; or it is there, or cannot be told. Said by AMQP
	 * alone; may be NULL. */
	void (*exchange)(void *context, bool missing, const char *why);

	/* A message for a subscription; all of it is valid only during the call. False: no room. The broker then keeps it
	 * and offers it again at the next process(), and reads no further until it is taken. */
	bool (*delivered)(void *context, const struct kb_message *m);

	/* A mandatory message came back because it reached no queue; its KB_DONE will follow all the same. Valid only
	 * during the call; without a payload when that is longer than message_max. Said by AMQP alone; may be NULL. */
	void (*returned)(void *context, const struct kb_message *m, const char *reason);

	/* A question, a message with KB_EXPIRES, that nobody gets: the one with this correlation-id, which reached no
	 * queue; with an empty one all that went to this exchange, for which the broker takes none. The latter is logged
	 * already. Said by AMQP alone; may be NULL. */
	void (*unroutable)(void *context, struct kb_slice exchange, struct kb_slice correlation_id);

	/* A delivery of so many bytes, more than message_max, was refused. Without its payload, valid only during the call.
	 * Said by AMQP alone; NULL: a log line says it. */
	void (*too_large)(void *context, const struct kb_message *m, size_t bytes);

	/* The broker takes no messages for now, and why, or takes them again; so it does on the next connection in any
	 * case. May be NULL. */
	void (*blocked)(void *context, bool blocked, const char *reason);

	/* A subscription started, and so many messages were waiting in its queue. Said by AMQP alone; may be NULL. */
	void (*waiting)(void *context, uint32_t subscription, uint32_t messages);

	/* The answer to count(): so many messages wait in the queue, those on their way to us not among them. Said by AMQP
	 * alone; may be NULL. */
	void (*counted)(void *context, uint32_t subscription, uint32_t messages);

	/* A subscription was refused, or stands no longer; logged already, and it is tried again. Of the end of a
	 * connection, which ends all, nothing is said. Said by AMQP alone; may be NULL. */
	void (*fell)(void *context, uint32_t subscription, const char *reason);

	/* The server lets us publish nothing to this subject, in its words `reason`; logged already. Of what was sent there
	 * nothing arrives. Said by NATS alone; may be NULL. */
	void (*forbidden)(void *context, struct kb_slice subject, const char *reason);

	/* Something about the connection that does not end it by itself: a name of letters and `-`, such as "lame-duck".
	 * Logged already. Said by NATS alone; may be NULL. */
	void (*notice)(void *context, const char *name);
};

enum kb_broker_role { KB_ROLE_PUBLISH = 1, KB_ROLE_CONSUME = 2 };

/* Who we are, beside the user and password of an address, which have precedence. Known to NATS alone. */
struct kb_broker_login {
	const char *token;      /* NULL or "": none */
	const char *creds_file; /* a user's JWT and seed; NULL: none */
	const char *nkey_file;  /* a user's seed alone; NULL: none */
};

struct kb_broker_config {
	const char *const *urls; /* failover list, in order; owned by the caller, who keeps it for the life of the broker */
	size_t n_urls;
	const char *client_name;  /* shown by the broker's own tools */
	enum kb_broker_role role; /* or-ed */
	int connect_timeout_ms; /* for one address, to the last answer of the handshake; the look-up of its name counts and
							   is not cut short: the system's resolver has timeouts of its own */
	int heartbeat_s;        /* 0: none */
	int pings_out_max;      /* heartbeats without an answer before a server is given up; known to NATS alone */
	size_t message_max;     /* bytes; longer deliveries are refused with one log line */
	struct kb_broker_tls tls;
	struct kb_broker_login login;
	uint32_t index;           /* goes into kb_origin.broker */
	bool confirm;             /* settle a message when the server has read it, not when it is on its way. Known to NATS
								 alone, where streams and questions have answers of their own */
	const char *inbox_prefix; /* of the subjects that answers come to; NULL: "_INBOX". Known to NATS alone */

	/* Index of the address where the processes that share the list are, in memory that they share, so that they go to
	 * another one together; NULL: each for itself. Known to AMQP alone. */
	_Atomic uint32_t *common_address;

	struct kb_connection *traffic; /* where what passes is counted (traffic.h); may be NULL */
};

/* What to consume. AMQP uses all of it, with queue and bindings declared anew on each connection; NATS takes routing[0]
 * as the subject and queue.name, when not empty, as the queue group. Strings are NUL-terminated and never NULL unless
 * it says so. */
struct kb_exchange {
	const char *name, *type;
	const char *arguments; /* a JSON object of integers, booleans, strings and objects; NULL: none */
	bool passive, durable, auto_delete, internal;
	bool as_it_is; /* where it exists otherwise it is used all the same, with a warning */
};

struct kb_queue {
	const char *name;      /* "": the server chooses */
	const char *arguments; /* as those of an exchange */
	bool passive, durable, exclusive, auto_delete;
};

/* Another exchange whose messages go on to that of the subscription. */
struct kb_exchange_binding {
	struct kb_exchange source;
	const char *const *routing;
	size_t n_routing;
};

/* A consumer of JetStream that outlives its connections and is shared by all that name it. Names are words without dots
 * and wildcards; 0 and NULL leave a field to the server. */
struct kb_durable {
	const char *stream, *name;
	const char *filter;  /* the subjects that it is for; NULL: all of the stream */
	const char *deliver; /* from where on, when it is made: "all", "new", "last" */
	int ack_wait_ms;     /* until a message that was not acknowledged is delivered again */
	int max_deliver;     /* times that a message is delivered */
	int max_ack_pending; /* messages that may wait for their acknowledgement */
};

struct kb_subscription {
	struct kb_exchange exchange;
	struct kb_queue queue;
	const char *const *routing;
	size_t n_routing;
	const struct kb_exchange_binding *exchange_bindings;
	size_t n_exchange_bindings;
	const char *consumer_tag;             /* NULL or "": the server chooses */
	uint16_t prefetch;                    /* messages that may wait for their acknowledgement; 0: no bound */
	bool no_ack;                          /* the broker forgets a message as soon as it has sent it */
	bool wait_for_consumer_ack;           /* acknowledge when the worker is done, not on receipt */
	bool federate;                        /* consume in the other zones too */
	const char *worker_key;               /* field of the payload: equal values, same worker. NULL: each in turn */
	const char *event_key, *event_subkey; /* "": the default */
	const struct kb_durable *durable;     /* NATS: consume from a stream instead of a subject; NULL: do not */
};

struct kb_broker_api {
	const char *name;   /* "amqp", "nats" */
	bool has_exchanges; /* that messages are published to with a routing key; else their key says it all */

	/* NULL and a log line when a URL cannot be read: *bad_url is its index. Nothing is connected. */
	struct kb_broker *(*open)(
		const struct kb_broker_config *config, const struct kb_broker_events *events, size_t *bad_url);

	/* Ends the connection in good order if there is one; NULL is fine. */
	void (*close)(struct kb_broker *b);

	/* One attempt at an address of the list. KB_BROKER_OK or KB_BROKER_LOST; logs one line either way: to where,
	 * as whom, never the password. Messages published on the connection before and not settled are forgotten: it is for
	 * the loop to send them again. */
	enum kb_broker_result (*connect)(struct kb_broker *b);

	/* The address in use or last tried, "host:port", valid until the next connect(). */
	const char *(*address)(const struct kb_broker *b);

	/* Starts a subscription on this connection; `s` must outlive it. KB_BROKER_INVALID: the server refused it, which is
	 * logged with the names; the others go on, and the broker tries it again from process() once in a while. One that
	 * costs the connection is KB_BROKER_LOST, and refused on the next ones for a while. */
	enum kb_broker_result (*subscribe)(struct kb_broker *b, const struct kb_subscription *s, uint32_t index);

	/* Asks the server how many messages wait for a subscription: counted() will tell. Nothing happens while an earlier
	 * such question is open, or when the subscription does not stand. NULL: there is no such thing. */
	void (*count)(struct kb_broker *b, uint32_t index);

	/* Numbers the message and takes it, or not. *sequence 0: settled at once, no settled() will follow: so it is with
	 * NATS, but for messages with KB_STORED, and others with config.confirm; one broker gets only the one kind. */
	enum kb_broker_result (*publish)(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence);

	/* Replaces what messages are published on, after one was refused: publish() takes none until requeue() has said
	 * KB_RENEWED. NULL: there is no such thing. */
	void (*renew)(struct kb_broker *b);

	/* Asks whether there is an exchange of this name, one at a time; exchange() will say. KB_BROKER_INVALID: it cannot
	 * be asked on this connection. NULL: there is no such thing. */
	enum kb_broker_result (*ask_exchange)(struct kb_broker *b, struct kb_slice exchange);

	/* Acknowledges, rejects or requeues a delivery. Origins of an earlier connection are ignored. */
	enum kb_broker_result (*settle)(struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome);

	/* For the message that delivered() is being called with, and only then. Both NULL: there are no such things. */

	/* settle() for a handler that goes on: it is on its way when this returns. delay_ms: of KB_REQUEUE, before the
	 * message is delivered again; 0: at once. */
	enum kb_broker_result (*settle_now)(
		struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome, unsigned delay_ms);

	/* Tells the broker that the message is still being worked on. */
	enum kb_broker_result (*progress)(struct kb_broker *b, const struct kb_origin *origin);

	/* Writes what waits, reads what is there, calls back for at most `max_messages` deliveries. 0: there is known to be
	 * nothing to read. KB_BROKER_AGAIN: there is more, and poll() may not see it. */
	enum kb_broker_result (*process)(struct kb_broker *b, unsigned max_messages);

	/* What to poll for before the next process(): a descriptor, its events, and the time in ms after which to call
	 * anyway (-1: none). */
	int (*poll_fd)(const struct kb_broker *b);
	short (*poll_events)(const struct kb_broker *b);
	int (*poll_timeout_ms)(const struct kb_broker *b);
};

extern const struct kb_broker_api kb_amqp;
extern const struct kb_broker_api kb_nats;

#endif
