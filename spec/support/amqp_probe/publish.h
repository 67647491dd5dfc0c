/* The command of amqp_probe that publishes. argv[0] is the command, as getopt wants it. */
#ifndef KB_SPEC_AMQP_PROBE_PUBLISH_H
#define KB_SPEC_AMQP_PROBE_PUBLISH_H

#include <amqp.h>

void probe_publish(amqp_connection_state_t connection, int argc, char **argv);

#endif
