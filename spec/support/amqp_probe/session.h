/* A connection of amqp_probe with its only channel. Whatever fails ends the program with status 1 and a line on
 * standard error. */
#ifndef KB_SPEC_AMQP_PROBE_SESSION_H
#define KB_SPEC_AMQP_PROBE_SESSION_H

#include <amqp.h>

enum { PROBE_CHANNEL = 1 };

void probe_die(const char *what, const char *why) __attribute__((noreturn));

/* Why the broker or the library has failed. The text is valid until the next call. */
const char *probe_reply_text(amqp_rpc_reply_t reply);

/* Dies unless the last synchronous call has succeeded. */
void probe_check(amqp_connection_state_t connection, const char *what);

amqp_connection_state_t probe_open(const char *url);
void probe_close(amqp_connection_state_t connection);

/* The argument at that index, or dies with the name of what is missing. */
const char *probe_argument(int argc, char **argv, int index, const char *name);

#endif
