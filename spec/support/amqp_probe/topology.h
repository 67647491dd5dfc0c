/* The commands of amqp_probe that declare, bind and delete. The arguments are those behind the command. */
#ifndef KB_SPEC_AMQP_PROBE_TOPOLOGY_H
#define KB_SPEC_AMQP_PROBE_TOPOLOGY_H

#include <amqp.h>

void probe_declare_exchange(amqp_connection_state_t connection, int argc, char **argv);
void probe_declare_queue(amqp_connection_state_t connection, int argc, char **argv);
void probe_bind_queue(amqp_connection_state_t connection, int argc, char **argv);
void probe_delete(amqp_connection_state_t connection, int argc, char **argv);

#endif
