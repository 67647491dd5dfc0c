#include "nats/settle.h"

#include "bus/traffic.h"
#include "nats/consumer.h"

static bool may_settle(const struct kb_broker *b, const struct kb_origin *origin)
{
	return b->link.up && b->offered.n && origin->generation == b->generation;
}

static void put_verdict(struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome, unsigned delay_ms)
{
	kb_nats_writer_take_back(b->writer);
	if (!may_settle(b, origin))
		return;
	kb_nats_consumer_put_verdict(&b->link.out, b->offered, outcome, delay_ms);
	kb_traffic_settled(b->config.traffic, origin, outcome);
	b->offered = kb_slice(NULL, 0);
}

void kb_nats_settle_lend(struct kb_broker *b)
{
	if (!b->writer)
		b->writer = kb_nats_writer_start(&b->link);
	if (b->writer)
		kb_nats_writer_lend(b->writer);
	else
		kb_nats_link_write(&b->link);
}

/* From inside a route. */
static void write_now(struct kb_broker *b)
{
	kb_nats_link_write(&b->link);
	if (kb_nats_link_waiting(&b->link))
		kb_nats_settle_lend(b);
}

static enum kb_broker_result state_of(const struct kb_broker *b)
{
	return b->link.up ? KB_BROKER_OK : KB_BROKER_LOST;
}

enum kb_broker_result kb_nats_settle(struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome)
{
	put_verdict(b, origin, outcome, 0);
	return state_of(b);
}

enum kb_broker_result kb_nats_settle_now(
	struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome, unsigned delay_ms)
{
	put_verdict(b, origin, outcome, delay_ms);
	write_now(b);
	return state_of(b);
}

enum kb_broker_result kb_nats_settle_progress(struct kb_broker *b, const struct kb_origin *origin)
{
	kb_nats_writer_take_back(b->writer);
	if (may_settle(b, origin))
		kb_nats_consumer_put_progress(&b->link.out, b->offered);
	write_now(b);
	return state_of(b);
}
