/* The RPC commands nats.*. */
#ifndef KB_KAMAILIO_NATS_RPC_H
#define KB_KAMAILIO_NATS_RPC_H

#include <stdbool.h>

/* In mod_init. False and a log line. */
bool kn_rpc_register(void);

#endif
