#include "nats/notices.h"

#include "bus/traffic.h"
#include "core/json.h"

void kb_nats_notices_tell(struct kb_broker *b, const char *name)
{
	if (b->events.notice)
		b->events.notice(b->events.context, name);
}

void kb_nats_notices_slow_consumer(struct kb_broker *b)
{
	kb_traffic_note(b->config.traffic, slow_consumer);
	kb_nats_notices_tell(b, "slow-consumer");
}

size_t kb_nats_notices_cluster_size(const struct kb_broker *b)
{
	return kb_json_count(kb_json_get(b->link.info.servers, kb_slice(NULL, 0), '\0'));
}

void kb_nats_notices_info(struct kb_broker *b, const struct kb_nats_wire_op *op)
{
	kb_nats_link_note_info(&b->link, op);
	size_t now = kb_nats_notices_cluster_size(b);
	if (now > b->announced) { /* the new ones are tried when this server is lost */
		kb_log(KB_LOG_NOTICE, "nats: cluster of %s now has %zu servers", b->address, now);
		kb_traffic_note(b->config.traffic, discovered);
		kb_nats_notices_tell(b, "discovered-servers");
	}
	b->announced = now;
}
