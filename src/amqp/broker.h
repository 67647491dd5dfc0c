/* AMQP 0-9-1 behind the contract of bus/broker.h. */
#ifndef KB_AMQP_BROKER_H
#define KB_AMQP_BROKER_H

#include <stdint.h>
#include "bus/broker.h"

extern const struct kb_broker_api kb_amqp;

/* For kb_broker_config.options. */
struct kb_amqp_options {
	/* Index of the address where the processes that share the list are, in memory that they share, so that they change
	 * to another one together; NULL: each for itself. */
	_Atomic uint32_t *common_address;
};

#endif
