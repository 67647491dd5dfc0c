/* The command of amqp_probe that consumes. argv[0] is the command, as getopt wants it. */
#ifndef KB_SPEC_AMQP_PROBE_CONSUME_H
#define KB_SPEC_AMQP_PROBE_CONSUME_H

#include <amqp.h>

void probe_consume(amqp_connection_state_t connection, int argc, char **argv);

#endif
