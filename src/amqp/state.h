/* The inside of an AMQP broker, which the files of this folder share. Each part of it belongs to the file that is named
 * like it: the others read it at most. */
#ifndef KB_AMQP_STATE_H
#define KB_AMQP_STATE_H

#include "amqp/address.h"
#include "amqp/content.h"
#include "amqp/failover.h"
#include "amqp/link.h"
#include "bus/broker.h"
#include "bus/subscription.h"
#include "core/log.h"

enum { KB_AMQP_REQUEST_CHANNELS = 16 /* at most */ };

/* A subscription over which the broker closed the connection, and with it all others. It stays out of the following
 * connections until its pause is over. Outlives them. */
struct kb_amqp_offence {
	int64_t until; /* ms; 0: none */
	int pause_ms;
	char why[500];
};

struct kb_amqp_subscription {
	const struct kb_subscription *s; /* NULL: none on this connection */
	struct kb_amqp_content incoming;
	int64_t retry_at;    /* ms; 0 while it is active */
	int pause_ms;        /* the last one, on this connection; 0 once it is active */
	uint32_t generation; /* of its channel: a tag means nothing on the next one; 0: the channel is closed */
	bool closing;        /* we closed the channel, and the broker has not answered yet */
	bool counting;       /* we asked how many messages wait, and the broker has not answered yet */
	struct kb_amqp_offence offence;
};

/* The channel that messages are published on, in confirm mode. */
struct kb_amqp_publishing {
	bool open;
	bool renewing; /* we closed it, and the broker has not answered yet */
	uint64_t next_sequence;
	uint64_t sequence_base;          /* sequence of the message before delivery tag 1 of this channel */
	struct kb_amqp_content returned; /* or a delivery that belongs to no subscription */
	bool return_expected;            /* `returned` is a return, for which the loop has a callback */
	struct kb_buf exchange, key;     /* of the return: copies, since a long content is released before its end */
	char reason[300];
};

/* For requests to one exchange: when the broker closes it, because there is no such exchange or we may not publish to
 * it, requests to other exchanges are not affected. Without confirms: the reply is the confirm of a request. */
struct kb_amqp_request_channel {
	bool open;
	uint64_t used; /* number of the last request on it */
	struct kb_buf exchange;
	struct kb_amqp_content returned;
};

struct kb_broker {
	const struct kb_broker_config *config;
	struct kb_broker_events events;
	struct kb_amqp_address *addresses;
	struct kb_amqp_failover failover; /* among them */
	_Atomic uint64_t own_lead;

	struct kb_amqp_link link;
	char address[300]; /* "host:port" */

	struct kb_amqp_publishing publishing;

	struct kb_amqp_request_channel requests[KB_AMQP_REQUEST_CHANNELS];
	uint64_t requests_sent;

	struct {
		bool open; /* its channel */
		bool sent; /* and the broker has not answered yet */
	} lookup;

	struct kb_amqp_subscription *subscriptions;
	size_t n_subscriptions;
	struct kb_amqp_content *held; /* complete, and refused by delivered(): offered again before anything is read */

	struct kb_log_limit too_large, refused, bad_requests, odd;
};

#endif
