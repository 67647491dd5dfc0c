/*
 * The handshake of an AMQP connection (AMQP 0-9-1, 2.2.4): version, authentication, limits, vhost.
 *
 * Not librabbitmq's: that has no AMQPLAIN, no EXTERNAL without a user, and can try one mechanism of a list only.
 */
#ifndef KB_AMQP_LOGIN_H
#define KB_AMQP_LOGIN_H

#include <amqp.h>
#include "amqp/address.h"
#include "bus/broker.h"

/* Logs in over a connected socket until the deadline (kb_clock_ms), as the address says or else the configuration, and
 * tunes the connection, without a heartbeat of the library's. *heartbeat_s: the interval that was agreed, 0: none.
 * NULL, or why not, valid until the next call. */
const char *kb_amqp_login(amqp_connection_state_t connection, const struct kb_amqp_address *address,
	const struct kb_broker_config *config, int64_t deadline_ms, int *heartbeat_s);

#endif
