/* The RPC commands kazoo.*. */
#ifndef KB_KAMAILIO_KAZOO_RPC_H
#define KB_KAMAILIO_KAZOO_RPC_H

#include <stdbool.h>

/* In mod_init. False and a log line. */
bool kz_rpc_register(void);

#endif
