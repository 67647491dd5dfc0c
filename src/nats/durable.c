#include "nats/durable.h"

#include <limits.h>
#include <stdio.h>
#include "nats/consumer.h"
#include "nats/headers.h"
#include "nats/js.h"
#include "nats/number.h"
#include "nats/wire.h"
#include "core/json.h"

enum {
	REPLY_MS = 5000,     /* for the server to create a consumer */
	PAUSE_MS = 1000,     /* before a refused request is tried again */
	EXPIRES_MS = 30000,  /* for which the server keeps a request for messages */
	HEARTBEAT_MS = 2000, /* of the server, while it has no messages */
	SILENCE_MS = 3 * HEARTBEAT_MS,
	BATCH_FIRST = 1, /* until it is known how long the routes take */
	BATCH_MAX = 512,
	ACK_WAIT_MS = 30000 /* the server's default */
};

static struct kb_slice inbox_of(const struct kb_nats_durable *d, char kind, char *to, size_t size)
{
	int n = snprintf(to, size, "%s.%c", d->inbox, kind);
	return kb_slice(to, (size_t)n);
}

static void enter(struct kb_nats_durable *d, enum kb_nats_durable_state state, int64_t due_ms)
{
	d->state = state;
	d->due_ms = due_ms;
}

static void check(struct kb_nats_durable *d, struct kb_buf *out, int64_t now)
{
	char inbox[sizeof d->inbox + 2];
	kb_nats_consumer_put_info(out, d->config, inbox_of(d, 'i', inbox, sizeof inbox));
	enter(d, KB_NATS_DURABLE_CHECKING, now + REPLY_MS);
}

static void create(struct kb_nats_durable *d, struct kb_slice config, struct kb_buf *out, int64_t now)
{
	char inbox[sizeof d->inbox + 2];
	kb_nats_consumer_put_create(out, d->config, config, inbox_of(d, 'c', inbox, sizeof inbox));
	enter(d, KB_NATS_DURABLE_CREATING, now + REPLY_MS);
}

static void pull(struct kb_nats_durable *d, struct kb_buf *out, int64_t now)
{
	char inbox[sizeof d->inbox + 2];
	kb_nats_consumer_put_pull(
		out, d->config, inbox_of(d, 'p', inbox, sizeof inbox), d->batch, EXPIRES_MS, HEARTBEAT_MS);
	d->outstanding += d->batch;
	enter(d, KB_NATS_DURABLE_PULLING, now + SILENCE_MS);
}

static void note(struct kb_nats_durable *d, const char *why, bool *news)
{
	if (strncmp(d->why, why, sizeof d->why - 1) == 0)
		return;
	snprintf(d->why, sizeof d->why, "%s", why);
	*news = true;
}

static void pause_for(struct kb_nats_durable *d, const char *why, int64_t now, bool *news)
{
	note(d, why, news);
	enter(d, KB_NATS_DURABLE_PAUSED, now + PAUSE_MS);
	d->outstanding = 0;
}

void kb_nats_durable_begin(struct kb_nats_durable *d, const struct kb_durable *config, const char *inbox_prefix,
	struct kb_buf *out, uint64_t sid, int64_t now)
{
	char pattern[sizeof d->inbox + 2];
	*d = (struct kb_nats_durable){
		.config = config, .ack_wait_ms = ACK_WAIT_MS, .batch = BATCH_FIRST, .began_ms = now, .why = "not created yet"};
	kb_nats_inbox_new(inbox_prefix, d->inbox);
	kb_nats_wire_put_subscribe(out, inbox_of(d, '*', pattern, sizeof pattern), kb_slice(NULL, 0), sid);
	check(d, out, now);
}

/* -- replies -- */

/* The reply to either request holds the configuration of the consumer. */
static void heed_config(
	struct kb_nats_durable *d, const struct kb_message *m, struct kb_buf *out, int64_t now, bool *news)
{
	struct kb_nats_js_reply reply = kb_nats_js_reply_read(m->payload, m->properties);
	struct kb_slice config = kb_json_member(m->payload, KB_SLICE_LITERAL("config")).raw;
	bool checking = d->state == KB_NATS_DURABLE_CHECKING;
	if (!checking && d->state != KB_NATS_DURABLE_CREATING)
		return;
	if (checking && reply.error == KB_NATS_CONSUMER_NOT_FOUND) {
		create(d, kb_slice(NULL, 0), out, now);
	} else if (!reply.good) {
		pause_for(d, reply.what, now, news);
	} else if (checking && kb_nats_consumer_differs(d->config, config)) {
		create(d, config, out, now);
	} else {
		uint64_t wait = kb_nats_number(kb_json_member(config, KB_SLICE_LITERAL("ack_wait")).raw) / 1000000;
		d->ack_wait_ms = wait > 0 && wait < INT_MAX ? (int)wait : ACK_WAIT_MS;
		d->max_deliver = kb_nats_number(kb_json_member(config, KB_SLICE_LITERAL("max_deliver")).raw);
		note(d, "", news);
		d->outstanding = 0;
		pull(d, out, now);
	}
}

/* How many messages of a request will not come. A status message that does not say so means all of them. */
static unsigned not_coming(const struct kb_nats_durable *d, struct kb_slice headers)
{
	struct kb_slice left = kb_headers_find(headers, KB_SLICE_LITERAL("Nats-Pending-Messages"));
	uint64_t n = left.n ? kb_nats_number(left) : d->outstanding;
	return n < d->outstanding ? (unsigned)n : d->outstanding;
}

static bool says(const struct kb_message *m, const char *text)
{
	struct kb_slice said = kb_headers_find(m->properties, KB_SLICE_LITERAL("description"));
	return said.n && memmem(said.p, said.n, text, strlen(text));
}

static void heed_status(
	struct kb_nats_durable *d, const struct kb_message *m, struct kb_buf *out, int64_t now, bool *news)
{
	enum { HEARTBEAT = 100, NO_MESSAGES = 404, EXPIRED = 408, LOST_LEADER = 409 };
	int status = kb_nats_headers_status(m->properties);
	char why[200];
	if (d->state != KB_NATS_DURABLE_PULLING)
		return;
	if (status == HEARTBEAT) {
		enter(d, KB_NATS_DURABLE_PULLING, now + SILENCE_MS);
	} else if (status == NO_MESSAGES || status == EXPIRED) {
		d->outstanding -= not_coming(d, m->headers);
		if (d->outstanding <= d->batch / 2)
			pull(d, out, now);
	} else if (status == LOST_LEADER && says(m, "Leadership Change")) {
		d->outstanding = 0; /* the new leader does not know the requests to the old one */
		pull(d, out, now);
	} else {
		snprintf(why, sizeof why, "consumer does not deliver: %d %.*s", status,
			KB_SLICE_FMT(kb_headers_find(m->properties, KB_SLICE_LITERAL("description"))));
		pause_for(d, why, now, news);
	}
}

bool kb_nats_durable_heed(
	struct kb_nats_durable *d, const struct kb_message *m, struct kb_buf *out, int64_t now, bool *news)
{
	size_t n = strlen(d->inbox);
	if (m->key.n != n + 2 || memcmp(m->key.p, d->inbox, n) != 0)
		return false;
	if (m->key.p[n + 1] != 'p')
		heed_config(d, m, out, now, news);
	else
		heed_status(d, m, out, now, news);
	return true;
}

/* -- messages -- */

/* Keeps the time that a batch takes to a fraction of the time for the acknowledgement. */
static void adapt(struct kb_nats_durable *d, int64_t now)
{
	int64_t took = now - d->began_ms;
	if (took > d->ack_wait_ms / 4 && d->batch > 1)
		d->batch /= 2;
	else if (took < d->ack_wait_ms / 16 && d->batch < BATCH_MAX)
		d->batch *= 2;
	d->taken = 0;
	d->began_ms = now;
}

bool kb_nats_durable_is_late(const struct kb_nats_durable *d, const struct kb_message *m, int64_t read_ms, int64_t now)
{
	if (now - read_ms <= d->ack_wait_ms)
		return false;
	uint64_t delivered = kb_nats_number(kb_headers_find(m->properties, KB_SLICE_LITERAL("delivered")));
	return d->max_deliver == 0 || delivered < d->max_deliver;
}

void kb_nats_durable_taken(struct kb_nats_durable *d, struct kb_buf *out, int64_t now)
{
	if (d->outstanding)
		d->outstanding--;
	if (++d->taken >= d->batch)
		adapt(d, now);
	if (d->state != KB_NATS_DURABLE_PULLING)
		return;
	d->due_ms = now + SILENCE_MS;
	if (d->outstanding <= d->batch / 2)
		pull(d, out, now);
}

void kb_nats_durable_tick(struct kb_nats_durable *d, struct kb_buf *out, int64_t now, bool *news)
{
	if (now < d->due_ms)
		return;
	if (d->state == KB_NATS_DURABLE_CHECKING || d->state == KB_NATS_DURABLE_CREATING)
		pause_for(d, "no reply from JetStream", now, news);
	else if (d->state == KB_NATS_DURABLE_PULLING)
		pause_for(d, "no heartbeat from the consumer", now, news);
	else
		check(d, out, now);
}
