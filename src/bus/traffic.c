#include "bus/traffic.h"

#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include "bus/subscription.h"
#include "core/counter.h"
#include "core/line.h"

struct kb_traffic {
	size_t max_connections, max_subscriptions, total_bytes;
	_Atomic size_t n_connections, n_subscriptions; /* claimed, perhaps beyond the maximum */
	struct kb_subscription_traffic *subscriptions;
	_Alignas(64) struct kb_connection connections[];
};

struct kb_traffic *kb_traffic_create(size_t connections, size_t subscriptions)
{
	size_t head = sizeof(struct kb_traffic) + connections * sizeof(struct kb_connection);
	size_t total = head + subscriptions * sizeof(struct kb_subscription_traffic);
	struct kb_traffic *traffic =
		mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (traffic == MAP_FAILED)
		return NULL;
	traffic->max_connections = connections;
	traffic->max_subscriptions = subscriptions;
	traffic->total_bytes = total;
	traffic->subscriptions = (void *)((char *)traffic + head);
	return traffic;
}

void kb_traffic_destroy(struct kb_traffic *traffic)
{
	if (traffic)
		munmap(traffic, traffic->total_bytes);
}

/* -- the process that has the connection -- */

struct kb_connection *kb_traffic_connection(
	struct kb_traffic *traffic, const char *name, const char *zone, uint32_t broker)
{
	size_t i = traffic ? atomic_fetch_add(&traffic->n_connections, 1) : 0;
	if (!traffic || i >= traffic->max_connections)
		return NULL;
	struct kb_connection *c = &traffic->connections[i];
	c->traffic = traffic;
	c->broker = broker;
	kb_line_set(&c->name, name);
	kb_line_set(&c->zone, zone);
	kb_counter_set(&c->since_s, (uint64_t)time(NULL));
	return c;
}

static void set_routing(struct kb_line *line, const struct kb_subscription *s)
{
	char text[KB_LINE_BYTES];
	size_t n = 0;
	text[0] = '\0';
	for (size_t i = 0; i < s->n_routing && n < sizeof text; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? " " : "", s->routing[i]);
	kb_line_set(line, text);
}

static void describe(struct kb_subscription_traffic *t, const struct kb_subscription *s, bool used)
{
	kb_line_set(&t->exchange, s->exchange.name);
	kb_line_set(&t->queue, s->queue.name);
	set_routing(&t->routing, s);
	kb_line_set(&t->reason, "not connected");
	kb_counter_set(&t->state, used ? KB_SUBSCRIPTION_RETRYING : KB_SUBSCRIPTION_UNUSED);
}

void kb_traffic_list(
	struct kb_connection *c, const struct kb_subscription *subscriptions, size_t n, bool federated_only)
{
	if (!c)
		return;
	size_t first = atomic_fetch_add(&c->traffic->n_subscriptions, n), max = c->traffic->max_subscriptions;
	size_t room = first < max ? max - first : 0;
	c->first_subscription = c->traffic->subscriptions + first;
	for (size_t i = 0; i < n && i < room; i++)
		describe(&c->first_subscription[i], &subscriptions[i], !federated_only || subscriptions[i].federate);
	atomic_store_explicit(&c->subscribed, n < room ? n : room, memory_order_release);
}

static struct kb_subscription_traffic *subscription(struct kb_connection *c, uint32_t i)
{
	return c && i < atomic_load_explicit(&c->subscribed, memory_order_acquire) ? &c->first_subscription[i] : NULL;
}

/* Nothing is delivered without a connection. */
static void suspend_subscriptions(struct kb_connection *c)
{
	for (uint32_t i = 0; i < kb_counter_get(&c->subscribed); i++)
		if (kb_counter_get(&c->first_subscription[i].state) != KB_SUBSCRIPTION_UNUSED)
			kb_traffic_subscription(c, i, "not connected");
}

void kb_traffic_state(struct kb_connection *c, enum kb_connection_state state, const char *address, const char *error)
{
	if (!c)
		return;
	enum kb_connection_state before = (enum kb_connection_state)kb_counter_get(&c->state);
	if (address)
		kb_line_set(&c->address, address);
	if (error)
		kb_line_set(&c->error, error);
	if (state >= KB_CONNECTION_OPEN && before < KB_CONNECTION_OPEN)
		kb_counter_add(&c->opened, 1);
	if (state == KB_CONNECTION_CLOSED && before == KB_CONNECTION_CONNECTING)
		kb_counter_add(&c->failed, 1);
	if (state == KB_CONNECTION_CLOSED)
		suspend_subscriptions(c);
	if (state != before)
		kb_counter_set(&c->since_s, (uint64_t)time(NULL));
	kb_counter_set(&c->state, state);
}

void kb_traffic_open(struct kb_connection *c)
{
	if (c && kb_counter_get(&c->state) == KB_CONNECTION_CONNECTING)
		kb_traffic_state(c, KB_CONNECTION_OPEN, NULL, NULL);
}

void kb_traffic_subscription(struct kb_connection *c, uint32_t i, const char *reason)
{
	struct kb_subscription_traffic *t = subscription(c, i);
	if (!t)
		return;
	kb_line_set(&t->reason, reason);
	kb_counter_set(&t->state, reason ? KB_SUBSCRIPTION_RETRYING : KB_SUBSCRIPTION_ACTIVE);
}

void kb_traffic_delivered(struct kb_connection *c, const struct kb_message *m)
{
	struct kb_subscription_traffic *t = subscription(c, m->origin.subscription);
	if (!c)
		return;
	kb_counter_add(&c->messages_in, 1);
	kb_counter_add(&c->bytes_in, m->payload.n);
	if (!t) /* a reply to a request */
		return;
	kb_counter_add(&t->delivered, 1);
	if (m->origin.flags & KB_REDELIVERED)
		kb_counter_add(&t->redelivered, 1);
}

void kb_traffic_pending(struct kb_connection *c, uint32_t i, uint64_t messages)
{
	struct kb_subscription_traffic *t = subscription(c, i);
	if (t)
		kb_counter_set(&t->pending, messages);
}

void kb_traffic_settled(struct kb_connection *c, const struct kb_origin *origin, enum kb_outcome outcome)
{
	struct kb_subscription_traffic *t = subscription(c, origin->subscription);
	if (t)
		kb_counter_add(outcome == KB_DONE ? &t->acked : outcome == KB_REQUEUE ? &t->requeued : &t->rejected, 1);
}

void kb_traffic_drop(struct kb_connection *c, const struct kb_origin *origin, enum kb_drop reason)
{
	struct kb_subscription_traffic *t = subscription(c, origin->subscription);
	if (t)
		kb_counter_add_among(&t->dropped[reason], 1); /* workers drop, too */
}

/* -- any process -- */

size_t kb_traffic_connections(const struct kb_traffic *traffic)
{
	size_t n = traffic ? atomic_load(&traffic->n_connections) : 0;
	return !traffic || n < traffic->max_connections ? n : traffic->max_connections;
}

const struct kb_connection *kb_traffic_at(const struct kb_traffic *traffic, size_t i)
{
	return &traffic->connections[i];
}

void kb_traffic_dropped(struct kb_traffic *traffic, const struct kb_origin *origin, enum kb_drop reason)
{
	for (size_t i = 0; i < kb_traffic_connections(traffic); i++) {
		struct kb_connection *c = &traffic->connections[i];
		if (c->broker == origin->broker)
			kb_traffic_drop(c, origin, reason); /* publishers have no subscriptions */
	}
}

uint64_t kb_traffic_sum(const struct kb_traffic *traffic, size_t offset)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < kb_traffic_connections(traffic); i++)
		sum += kb_counter_get((const void *)((const char *)&traffic->connections[i] + offset));
	return sum;
}

uint64_t kb_traffic_subscription_sum(const struct kb_traffic *traffic, size_t offset)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < kb_traffic_connections(traffic); i++) {
		const struct kb_connection *c = &traffic->connections[i];
		size_t n = atomic_load_explicit(&c->subscribed, memory_order_acquire);
		for (size_t s = 0; s < n; s++)
			sum += kb_counter_get((const void *)((const char *)&c->first_subscription[s] + offset));
	}
	return sum;
}

size_t kb_traffic_in_state(const struct kb_traffic *traffic, enum kb_connection_state state)
{
	size_t n = 0;
	for (size_t i = 0; i < kb_traffic_connections(traffic); i++)
		n += kb_counter_get(&traffic->connections[i].state) == state;
	return n;
}

uint64_t kb_traffic_done(const struct kb_traffic *traffic)
{
	return kb_traffic_sum(traffic, offsetof(struct kb_connection, confirmed)) +
		   kb_traffic_sum(traffic, offsetof(struct kb_connection, sent_only)) +
		   kb_traffic_sum(traffic, offsetof(struct kb_connection, rejected)) +
		   kb_traffic_sum(traffic, offsetof(struct kb_connection, invalid)) +
		   kb_traffic_sum(traffic, offsetof(struct kb_connection, expired));
}
