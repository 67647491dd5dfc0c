#include "bus/requester.h"

#include <stdio.h>
#include "bus/traffic.h"
#include "core/log.h"

struct requesting {
	const struct kb_requester *r;
	const struct kb_requester_bus *bus;
	struct kb_replies *replies;
	struct kb_log_limit unmatched, too_large;
};

static const char *bus_name(const struct requesting *l)
{
	return l->r->publisher.api->name;
}

static bool is_own(const struct requesting *l, struct kb_slice id, const struct kb_message *reply)
{
	return l->r->own_reply && l->r->own_reply(id, reply);
}

/* -- replies -- */

/* It is late, repeated or foreign. */
static void tell_unmatched(struct requesting *l, struct kb_slice id)
{
	if (l->bus->many)
		return;
	kb_traffic_note(l->r->publisher.config.traffic, unmatched);
	kb_log_limited(
		&l->unmatched, KB_LOG_INFO, "%s: discarding unmatched reply \"%.*s\"", bus_name(l), KB_SLICE_FMT(id));
}

static void tell_too_large(struct requesting *l, size_t bytes)
{
	kb_log_limited(&l->too_large, KB_LOG_ERROR, "%s: discarding reply of %zu bytes: the limit is %zu bytes",
		bus_name(l), bytes, kb_replies_room(l->replies));
}

static void write_reply(const struct requesting *l, const struct kb_message *m, char *to)
{
	if (l->bus->whole)
		kb_message_encode(m, to);
	else if (m->payload.n)
		memcpy(to, m->payload.p, m->payload.n);
}

/* Ends the request that one of the ids names, with the reply or, when m is NULL, with one that is too large. The reply
 * is written where the process that waits reads it. */
static bool finish_with(
	const struct requesting *l, const struct kb_slice *ids, size_t n, const struct kb_message *m, size_t size)
{
	struct kb_reply_room room;
	for (size_t i = 0; i < n; i++) {
		if (!kb_replies_take(l->replies, ids[i], &room))
			continue;
		if (size <= room.n)
			write_reply(l, m, room.p);
		kb_replies_finish(l->replies, &room, size);
		return true;
	}
	return false;
}

static bool on_delivered(void *context, const struct kb_message *m)
{
	struct requesting *l = context;
	struct kb_slice ids[KB_REQUESTER_IDS] = {{NULL, 0}};
	size_t n = l->bus->reply_ids(l->r->context, m, ids), size = l->bus->whole ? kb_message_size(m) : m->payload.n;
	if (n && is_own(l, ids[0], m))
		return true;
	if (size > kb_replies_room(l->replies) && l->bus->says_too_large)
		tell_too_large(l, size);
	if (!finish_with(l, ids, n, m, size))
		tell_unmatched(l, ids[0]);
	return true;
}

/* The payload was not read, only the properties. */
static void on_too_large(void *context, const struct kb_message *m, size_t bytes)
{
	struct requesting *l = context;
	struct kb_slice ids[KB_REQUESTER_IDS] = {{NULL, 0}};
	size_t n = l->bus->reply_ids(l->r->context, m, ids);
	tell_too_large(l, bytes);
	if (!finish_with(l, ids, n, NULL, bytes))
		tell_unmatched(l, ids[0]);
}

/* -- requests that get no reply -- */

static void on_unroutable(void *context, struct kb_slice exchange, struct kb_slice id)
{
	struct requesting *l = context;
	if (id.n)
		kb_replies_end(l->replies, id, KB_REPLY_UNROUTABLE);
	else
		kb_replies_end_all_to(l->replies, exchange, KB_REPLY_UNROUTABLE);
}

static void on_unsendable(void *context, const struct kb_message *request)
{
	struct requesting *l = context;
	struct kb_slice id = l->bus->request_id(request);
	if (!is_own(l, id, NULL))
		kb_replies_end(l->replies, id, l->bus->unsent);
}

static void end_forbidden(void *context, struct kb_slice id)
{
	kb_replies_end(context, id, KB_REPLY_FORBIDDEN);
}

static void on_forbidden(void *context, struct kb_slice subject, const char *reason)
{
	struct requesting *l = context;
	(void)reason;
	if (l->bus->forbidden)
		l->bus->forbidden(l->r->context, subject, end_forbidden, l->replies);
}

static void on_sent(void *context, const struct kb_message *request)
{
	struct requesting *l = context;
	if (l->bus->sent)
		l->bus->sent(l->r->context, request);
}

/* -- the connection -- */

static const struct kb_subscription *on_connect(void *context)
{
	struct requesting *l = context;
	return l->bus->subscription(l->r->context);
}

static void on_subscribed(void *context)
{
	struct requesting *l = context;
	kb_replies_open(l->replies);
}

/* There is a connection, and no reply would come over it. */
static void on_fell(void *context, const char *reason)
{
	struct requesting *l = context;
	char why[KB_LINE_BYTES];
	snprintf(why, sizeof why, "cannot receive replies: %s", reason);
	kb_replies_close(l->replies, why);
}

/* Open: with the subscription. */
static void on_connection(void *context, bool open, const char *address)
{
	struct requesting *l = context;
	(void)address;
	if (open)
		kb_replies_open(l->replies);
	else
		kb_replies_close(l->replies, NULL);
	if (l->r->connection)
		l->r->connection();
}

static void on_tick(void *context)
{
	struct requesting *l = context;
	if (l->r->publisher.tick)
		l->r->publisher.tick(l->r->publisher.context);
}

void kb_requester_run(const struct kb_requester *requester)
{
	struct requesting l = {.r = requester, .bus = requester->bus, .replies = requester->replies};
	struct kb_publisher p = requester->publisher;
	p.config.role = KB_ROLE_PUBLISH | KB_ROLE_CONSUME;
	if (l.bus->read_factor)
		p.config.message_max = l.bus->read_factor * kb_replies_room(l.replies);
	p.context = &l;
	p.at_once = true;
	p.subscription = on_connect;
	p.subscribed = on_subscribed;
	p.fell = on_fell;
	p.delivered = on_delivered;
	p.too_large = on_too_large;
	p.unroutable = on_unroutable;
	p.unsendable = on_unsendable;
	p.forbidden = on_forbidden;
	p.sent = on_sent;
	p.connection = on_connection;
	p.tick = on_tick;
	kb_publisher_run(&p);
}
