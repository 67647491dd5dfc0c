/* How this module connects to NATS servers: its parameters as the broker layer takes them. */
#ifndef KB_KAMAILIO_NATS_BROKER_H
#define KB_KAMAILIO_NATS_BROKER_H

#include <stdbool.h>

#include "bus/broker.h"

/* In mod_init, after kn_settings_check(): false and a log line when an address cannot be used. */
bool kn_broker_check(void);

/* The configuration for one connection. The server's own tools show `name`, which must live as long as the broker. */
struct kb_broker_config kn_broker_config(enum kb_broker_role role, const char *name);

#endif
