/*
 * A policy that is loaded anew while the server runs. The RPC process tries the file first: one that does not load
 * changes nothing. Then it raises a number in shared memory, which each process compares with its own before a message,
 * and once a second. Each reads the file itself.
 */
#ifndef KB_KAMAILIO_GLUE_POLICY_RELOAD_H
#define KB_KAMAILIO_GLUE_POLICY_RELOAD_H

#include <core/rpc.h>

#include <stdbool.h>

#include "core/buf.h"

/* In mod_init. */
bool kb_policy_reload_init(void);

/* True when the policy of this process is to be opened anew; once for each time. */
bool kb_policy_reload_due(void);

/* The RPC command. `loads` says whether the file can be loaded now, and why not. */
void kb_policy_reload_rpc(rpc_t *rpc, void *context, const char *file, bool (*loads)(struct kb_buf *why));

#endif
