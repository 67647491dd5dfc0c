/* NATS, core and JetStream, behind the contract of bus/broker.h. Its options are in options.h. */
#ifndef KB_NATS_BROKER_H
#define KB_NATS_BROKER_H

#include "bus/broker.h"

extern const struct kb_broker_api kb_nats;

#endif
