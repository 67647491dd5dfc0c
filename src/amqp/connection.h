/* The end of a connection, as all parts of a broker may find it. */
#ifndef KB_AMQP_CONNECTION_H
#define KB_AMQP_CONNECTION_H

#include "bus/result.h"

struct kb_broker;

/* Logs, ends the connection, and returns KB_BROKER_LOST. The next connect() clears what was open on it. */
enum kb_broker_result kb_amqp_connection_lost(struct kb_broker *b, const char *why);

/* For what a function of link.h returned: NULL is KB_BROKER_OK. */
enum kb_broker_result kb_amqp_connection_checked(struct kb_broker *b, const char *why);

#endif
