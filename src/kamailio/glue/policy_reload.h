/* Reloading a policy while the server runs. The RPC process tries the file first: a file that does not load changes
 * nothing. Then it increments a version in shared memory. Each process compares it with its own before each message and
 * once a second, and reads the file itself. */
#ifndef KB_KAMAILIO_GLUE_POLICY_RELOAD_H
#define KB_KAMAILIO_GLUE_POLICY_RELOAD_H

#include <core/rpc.h>

#include <stdbool.h>

#include "core/buf.h"

/* In mod_init. */
bool kb_policy_reload_init(void);

/* True when this process must reload its policy. True only once for each reload. */
bool kb_policy_reload_due(void);

/* The RPC command. `loads` tells whether the file loads now; if not, it writes the reason to `why`. */
void kb_policy_reload_rpc(rpc_t *rpc, void *context, const char *file, bool (*loads)(struct kb_buf *why));

#endif
