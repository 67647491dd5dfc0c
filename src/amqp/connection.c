#include "amqp/connection.h"

#include "amqp/state.h"
#include "bus/traffic.h"

enum kb_broker_result kb_amqp_connection_lost(struct kb_broker *b, const char *why)
{
	why = kb_amqp_link_reason(&b->link, why);
	kb_log(KB_LOG_WARNING, "amqp: connection to %s lost: %s", b->address, why);
	kb_traffic_state(b->config->traffic, KB_CONNECTION_CLOSED, b->address, why);
	kb_amqp_link_drop(&b->link);
	return KB_BROKER_LOST;
}

enum kb_broker_result kb_amqp_connection_checked(struct kb_broker *b, const char *why)
{
	return why ? kb_amqp_connection_lost(b, why) : KB_BROKER_OK;
}
