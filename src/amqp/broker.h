/* AMQP 0-9-1 behind the contract of bus/broker.h. */
#ifndef KB_AMQP_BROKER_H
#define KB_AMQP_BROKER_H

#include <stdint.h>
#include "bus/broker.h"

extern const struct kb_broker_api kb_amqp;

/* For kb_broker_config.options. */
struct kb_amqp_options {
	/* Where the processes that share the list lead each other (failover.h), in memory that they share and that is zero
	 * at the start, so that they change to another address together; NULL: each for itself. */
	_Atomic uint64_t *lead;
};

#endif
