/* NATS behind the contract of broker.h. Core NATS delivers at most once: what is on its way to the socket counts as
 * sent. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "broker/broker.h"
#include "broker/nats_durable.h"
#include "broker/nats_link.h"
#include "broker/nats_message.h"
#include "broker/nats_servers.h"
#include "broker/nats_store.h"
#include "broker/tcp.h"
#include "broker/traffic.h"
#include "core/log.h"

enum {
	WRITE_BYTES = 64 * 1024, /* publish() writes when so much waits */
	UNSENT_MAX = 512 * 1024, /* and takes no more when so much is left */
	READ_RARELY = 64 * 1024, /* bytes between two looks of a busy publisher at what the server says */
	LOOK_MS = 500,           /* between two looks at the time since the server was heard */
	HELD_MS = 10,            /* a delivery that found no room is offered again */
	LINGER_MS = 500,         /* for the last bytes to reach the server */
	LEAVE_WITHIN_MS = 5000,  /* a server that says it will close: well before it cuts off its first clients */
	LEAVING_MS = 1000,       /* for its last words then */
	REFUSED_S = 30,          /* until a subscription is tried again */
	SETTLED_MS = 10,         /* how long an acknowledgement waits for others to be written with */
	STORE_SID = 1 << 30      /* of the acknowledgements of streams, beyond those of subscriptions */
};

struct subscription {
	const struct kb_subscription *config;
	uint32_t index;
	time_t retry_at;                /* monotonic second; 0: the server has not refused it */
	struct kb_nats_durable durable; /* when config->durable is set */
};

struct kb_broker {
	struct kb_broker_config config;
	struct kb_broker_events events;
	struct kb_nats_servers servers;
	const struct kb_nats_server *server; /* of this connection */
	char address[300];

	struct kb_nats_link link;
	uint32_t generation; /* counts connections */
	size_t unread;       /* bytes published since the last read */
	bool published;      /* since the last process() */

	struct subscription *subscriptions; /* the sid of each is its place in the list, from 1 */
	size_t n_subscriptions;
	bool refused; /* one of them waits to be tried again */
	bool held;    /* the delivery that comes next found no room */

	bool lame_duck;             /* the server is about to close */
	int64_t leave_at, leave_by; /* ms; when to begin to leave it, and when to be gone; 0: not */

	struct kb_buf headers, properties;

	struct kb_nats_store store;
	bool renewing;           /* what was published is to be sent again */
	int64_t settled_ms;      /* when acknowledgements were last written */
	struct kb_slice offered; /* where the delivery that is being handled is acknowledged; empty: not, or no more */

	struct kb_log_limit bad_subject, bad_headers, too_long, long_delivery, broken_headers, reported;
};

/* -- addresses and connections -- */

static struct kb_broker *nats_open(
	const struct kb_broker_config *config, const struct kb_broker_events *events, size_t *bad_url)
{
	const char *what;
	struct kb_broker *b = calloc(1, sizeof *b);
	if (!b)
		return NULL;
	b->config = *config;
	b->events = *events;
	if (!kb_nats_servers_init(&b->servers, config->urls, config->n_urls, bad_url, &what)) {
		kb_log(KB_LOG_ERROR, "nats: address %zu cannot be read: %s", *bad_url + 1, what);
		kb_nats_servers_free(&b->servers);
		free(b);
		return NULL;
	}
	for (size_t i = 0; i < b->servers.n; i++)
		b->servers.list[i].tls = b->servers.list[i].tls || config->tls.always;
	kb_nats_server_print(&b->servers.list[0], b->address, sizeof b->address);
	return b;
}

/* True when not just everybody has a certificate for any name of their own that we take. */
static bool few_have_certificates(const struct kb_broker_tls *tls)
{
	return tls->ca_file || tls->expected_name || tls->any_name || tls->any_peer;
}

static void disconnect(struct kb_broker *b, int linger_ms)
{
	if (!b->link.open)
		return;
	kb_nats_link_close(&b->link, linger_ms);
	kb_nats_servers_announced(&b->servers, b->link.info.servers, b->server, few_have_certificates(&b->config.tls));
	b->n_subscriptions = 0;
	b->unread = 0;
	b->refused = b->held = b->lame_duck = b->renewing = false;
	b->leave_at = b->leave_by = 0;
	kb_nats_store_reset(&b->store);
}

static void nats_close(struct kb_broker *b)
{
	if (!b)
		return;
	disconnect(b, LINGER_MS);
	kb_nats_link_free(&b->link);
	kb_nats_servers_free(&b->servers);
	kb_nats_store_free(&b->store);
	kb_buf_free(&b->headers);
	kb_buf_free(&b->properties);
	free(b->subscriptions);
	free(b);
}

static void log_connected(const struct kb_broker *b)
{
	char who[300];
	kb_log(KB_LOG_NOTICE, "nats: connected to %s %s%s", b->address,
		kb_nats_login_describe(b->server, &b->config.login, who, sizeof who), b->link.tls ? ", with TLS" : "");
}

static enum kb_broker_result nats_connect(struct kb_broker *b)
{
	disconnect(b, 0);
	b->server = kb_nats_servers_next(&b->servers);
	kb_nats_server_print(b->server, b->address, sizeof b->address);
	kb_traffic_state(b->config.traffic, KB_CONNECTION_CONNECTING, b->address, NULL);
	if (!kb_nats_link_open(&b->link, b->server, &b->config)) {
		kb_log(KB_LOG_ERROR, "nats: cannot connect to %s: %s", b->address, b->link.why);
		kb_traffic_state(b->config.traffic, KB_CONNECTION_CLOSED, b->address, b->link.why);
		return KB_BROKER_LOST;
	}
	b->generation++;
	log_connected(b);
	kb_traffic_state(b->config.traffic, KB_CONNECTION_OPEN, b->address, NULL);
	return KB_BROKER_OK;
}

static const char *nats_address(const struct kb_broker *b)
{
	return b->address;
}

/* -- subscriptions -- */

static void start(struct kb_broker *b, struct subscription *s)
{
	uint64_t sid = (uint64_t)(s - b->subscriptions) + 1;
	if (s->config->durable) {
		kb_nats_durable_begin(&s->durable, s->config->durable, &b->link.out, sid);
		kb_traffic_subscription(b->config.traffic, s->index, s->durable.why);
		return;
	}
	kb_nats_put_subscribe(
		&b->link.out, kb_slice_from(s->config->routing[0]), kb_slice_from(s->config->queue.name), sid);
	kb_traffic_subscription(b->config.traffic, s->index, NULL);
}

static void report_durable(struct kb_broker *b, const struct subscription *s)
{
	const struct kb_nats_durable *d = &s->durable;
	bool good = !d->why[0];
	kb_traffic_subscription(b->config.traffic, s->index, good ? NULL : d->why);
	kb_log(good ? KB_LOG_NOTICE : KB_LOG_ERROR, "nats: consumer \"%s\" of stream \"%s\": %s", d->config->name,
		d->config->stream, good ? "consuming" : d->why);
}

static void look_after_durables(struct kb_broker *b)
{
	for (size_t i = 0; i < b->n_subscriptions; i++) {
		struct subscription *s = &b->subscriptions[i];
		bool news = false;
		if (s->config->durable)
			kb_nats_durable_tick(&s->durable, &b->link.out, &news);
		if (news)
			report_durable(b, s);
	}
}

static const char *fault_of(const struct kb_subscription *config)
{
	const struct kb_durable *d = config->durable;
	const char *group = config->queue.name, *fault;
	if (d) {
		fault = kb_nats_word_fault(kb_slice_from(d->stream)) ? "its stream is no word" : NULL;
		fault = kb_nats_word_fault(kb_slice_from(d->name)) ? "its consumer is no word" : fault;
		return d->filter && kb_nats_pattern_fault(kb_slice_from(d->filter)) ? "its filter is no subject" : fault;
	}
	fault = kb_nats_pattern_fault(kb_slice_from(config->n_routing ? config->routing[0] : ""));
	return !fault && *group && kb_nats_subject_fault(kb_slice_from(group)) ? "its queue group is no word" : fault;
}

static struct subscription *add_subscription(struct kb_broker *b)
{
	struct subscription *grown = realloc(b->subscriptions, (b->n_subscriptions + 1) * sizeof *b->subscriptions);
	if (!grown)
		return NULL;
	b->subscriptions = grown;
	return &grown[b->n_subscriptions];
}

static enum kb_broker_result nats_subscribe(struct kb_broker *b, const struct kb_subscription *config, uint32_t index)
{
	if (!b->link.up)
		return KB_BROKER_LOST;
	const char *fault = fault_of(config);
	if (fault) {
		kb_log(KB_LOG_ERROR, "nats: cannot subscribe to \"%.200s\" (queue group \"%.200s\"): %s",
			config->n_routing ? config->routing[0] : "", config->queue.name, fault);
		kb_traffic_subscription(b->config.traffic, index, fault);
		return KB_BROKER_INVALID;
	}
	struct subscription *s = add_subscription(b);
	if (!s)
		return KB_BROKER_AGAIN;
	*s = (struct subscription){.config = config, .index = index};
	b->n_subscriptions++;
	start(b, s);
	kb_nats_link_write(&b->link);
	return b->link.up ? KB_BROKER_OK : KB_BROKER_LOST;
}

static time_t now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec;
}

/* The server's words about a subscription that it does not allow contain: Subscription to "subject". */
static void note_refusal(struct kb_broker *b, const char *what)
{
	const char *subject = strstr(what, "ubscription to \"");
	if (!subject)
		return;
	subject += strlen("ubscription to \"");
	for (size_t i = 0; i < b->n_subscriptions; i++) {
		struct subscription *s = &b->subscriptions[i];
		size_t n = strlen(s->config->routing[0]);
		if (strncmp(subject, s->config->routing[0], n) == 0 && subject[n] == '"') {
			s->retry_at = now_s() + REFUSED_S;
			b->refused = true;
			kb_traffic_subscription(b->config.traffic, s->index, what);
		}
	}
}

/* Something that has been logged. */
static void tell(struct kb_broker *b, const char *name)
{
	if (b->events.notice)
		b->events.notice(b->events.context, name);
}

static void note_slow_consumer(struct kb_broker *b)
{
	kb_traffic_note(b->config.traffic, slow_consumer);
	tell(b, "slow-consumer");
}

static void note_error(struct kb_broker *b, struct kb_slice text)
{
	char what[256];
	snprintf(what, sizeof what, "%.*s", KB_SLICE_FMT(text));
	kb_log_limited(&b->reported, KB_LOG_ERROR, "nats: %s: %s", b->address, what);
	note_refusal(b, what);
	/* What follows is the end of the connection, which shall have a reason. */
	if (!strstr(what, "ermissions Violation"))
		snprintf(b->link.why, sizeof b->link.why, "%s", what);
	if (strcasestr(what, "slow consumer"))
		note_slow_consumer(b);
}

static void retry_refused(struct kb_broker *b)
{
	time_t now = now_s();
	b->refused = false;
	for (size_t i = 0; i < b->n_subscriptions; i++) {
		struct subscription *s = &b->subscriptions[i];
		if (s->retry_at && s->retry_at <= now) {
			s->retry_at = 0;
			start(b, s);
		}
		b->refused |= s->retry_at != 0;
	}
}

/* -- publishing -- */

static bool acceptable(struct kb_broker *b, const struct kb_message *m)
{
	size_t headers = 0;
	const char *fault = kb_nats_subject_fault(m->key);
	const char *reply_fault = m->reply.n ? kb_nats_subject_fault(m->reply) : NULL;
	if (!fault && !reply_fault && m->key.n + m->reply.n > KB_NATS_LINE_MAX)
		fault = "together with the reply subject it is too long";
	if (fault || reply_fault) {
		kb_log_limited(&b->bad_subject, KB_LOG_ERROR, "nats: message dropped: %s \"%.*s\" cannot be published to: %s",
			fault ? "subject" : "reply subject", KB_SLICE_FMT(fault ? m->key : m->reply), fault ? fault : reply_fault);
		return false;
	}
	fault = kb_nats_headers_fault(m->headers, &headers);
	if (fault) {
		kb_log_limited(
			&b->bad_headers, KB_LOG_ERROR, "nats: message to \"%.*s\" dropped: %s", KB_SLICE_FMT(m->key), fault);
		return false;
	}
	if (b->link.info.max_payload && headers + m->payload.n > b->link.info.max_payload) {
		kb_log_limited(&b->too_long, KB_LOG_ERROR,
			"nats: message to \"%.*s\" dropped: it has %zu bytes, and the server takes %zu (max_payload)",
			KB_SLICE_FMT(m->key), headers + m->payload.n, b->link.info.max_payload);
		return false;
	}
	return true;
}

static enum kb_broker_result put_message(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence)
{
	if (m->origin.flags & KB_STORED)
		return kb_nats_store_put(&b->store, &b->link, STORE_SID, m, sequence);
	kb_nats_put_message(&b->link.out, m);
	return KB_BROKER_OK;
}

static enum kb_broker_result nats_publish(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence)
{
	*sequence = 0;
	if (b->link.up && kb_nats_link_waiting(&b->link) >= WRITE_BYTES)
		kb_nats_link_write(&b->link);
	if (!b->link.up)
		return KB_BROKER_LOST;
	size_t before = kb_nats_link_waiting(&b->link);
	if (before >= UNSENT_MAX || b->leave_by)
		return KB_BROKER_AGAIN;
	if (!acceptable(b, m))
		return KB_BROKER_INVALID;
	enum kb_broker_result result = put_message(b, m, sequence);
	b->unread += kb_nats_link_waiting(&b->link) - before;
	b->published = true;
	if (result == KB_BROKER_OK)
		kb_traffic_sent(b->config.traffic, m->payload.n);
	return result;
}

/* Tells the loop from process(), as it is promised. */
static void nats_renew(struct kb_broker *b)
{
	b->renewing = true;
}

static void renew(struct kb_broker *b)
{
	b->renewing = false;
	kb_nats_store_forget(&b->store);
	b->events.settled(b->events.context, 0, true, KB_REQUEUE, NULL);
}

/* -- acknowledging deliveries -- */

static bool may_settle(const struct kb_broker *b, const struct kb_origin *origin)
{
	return b->link.up && b->offered.n && origin->generation == b->generation;
}

/* Soon enough for the server not to deliver again what is long done, while slow routes run. */
static enum kb_broker_result settled(struct kb_broker *b, bool at_once)
{
	int64_t now = kb_tcp_now_ms();
	if (b->link.up && (at_once || now - b->settled_ms >= SETTLED_MS)) {
		kb_nats_link_write(&b->link);
		b->settled_ms = now;
	}
	return b->link.up ? KB_BROKER_OK : KB_BROKER_LOST;
}

static enum kb_broker_result settle(
	struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome, unsigned delay_ms)
{
	if (may_settle(b, origin)) {
		kb_nats_put_verdict(&b->link.out, b->offered, outcome, delay_ms);
		kb_traffic_settled(b->config.traffic, origin, outcome);
		b->offered = kb_slice(NULL, 0);
	}
	return settled(b, false);
}

/* Of core NATS nothing is acknowledged. */
static enum kb_broker_result nats_settle(struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome)
{
	return settle(b, origin, outcome, 0);
}

static enum kb_broker_result nats_postpone(struct kb_broker *b, const struct kb_origin *origin, unsigned delay_ms)
{
	return settle(b, origin, KB_REQUEUE, delay_ms);
}

static enum kb_broker_result nats_progress(struct kb_broker *b, const struct kb_origin *origin)
{
	if (may_settle(b, origin))
		kb_nats_put_progress(&b->link.out, b->offered);
	return settled(b, true);
}

/* -- deliveries -- */

static void add_number(struct kb_buf *list, struct kb_slice name, uint64_t number)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%" PRIu64, number);
	kb_headers_add(list, name, kb_slice(text, (size_t)n));
}

/* Its reply subject is where it is acknowledged: nothing for a route to answer to. */
static void fill_stored(struct kb_broker *b, struct kb_message *m)
{
	struct kb_nats_stored stored;
	b->offered = kb_slice(NULL, 0);
	if (!kb_nats_stored_read(m->reply, &stored))
		return;
	b->offered = m->reply;
	m->reply = kb_slice(NULL, 0);
	m->origin.tag = stored.sequence;
	m->origin.flags = stored.delivered > 1 ? KB_REDELIVERED : 0;
	kb_headers_add(&b->properties, KB_SLICE_LITERAL("stream"), stored.stream);
	kb_headers_add(&b->properties, KB_SLICE_LITERAL("consumer"), stored.consumer);
	add_number(&b->properties, KB_SLICE_LITERAL("delivered"), stored.delivered);
	add_number(&b->properties, KB_SLICE_LITERAL("sequence"), stored.sequence);
	add_number(&b->properties, KB_SLICE_LITERAL("pending"), stored.pending);
}

static void fill_message(
	struct kb_broker *b, const struct subscription *s, const struct kb_nats_op *op, struct kb_message *m)
{
	*m = (struct kb_message){.key = op->subject,
		.reply = op->reply,
		.payload = op->payload,
		.origin = {.subscription = s->index, .generation = b->generation, .broker = b->config.index}};
	kb_buf_clear(&b->headers);
	kb_buf_clear(&b->properties);
	if (!kb_nats_headers_read(op->headers, &b->headers, &b->properties))
		kb_log_limited(&b->broken_headers, KB_LOG_WARNING,
			"nats: delivery on \"%.*s\" goes on without its headers: they cannot be read", KB_SLICE_FMT(m->key));
	if (s->config->durable)
		fill_stored(b, m);
	m->headers = kb_buf_slice(&b->headers);
	m->properties = kb_buf_slice(&b->properties);
}

static bool too_long(struct kb_broker *b, const struct kb_message *m)
{
	if (!b->config.message_max || m->payload.n <= b->config.message_max)
		return false;
	kb_log_limited(&b->long_delivery, KB_LOG_ERROR,
		"nats: delivery on \"%.*s\" dropped: it has %zu bytes, and %zu are allowed", KB_SLICE_FMT(m->key), m->payload.n,
		b->config.message_max);
	kb_traffic_drop(b->config.traffic, &m->origin, KB_DROP_TOO_LARGE);
	return true;
}

/* What of a durable consumer is no message. */
static bool is_answer(struct kb_broker *b, struct subscription *s, const struct kb_message *m)
{
	bool news = false;
	if (!s->config->durable || !kb_nats_durable_answer(&s->durable, m, &b->link.out, &news))
		return false;
	if (news)
		report_durable(b, s);
	return true;
}

/* False: nobody had room for it. */
static bool offer_to(struct kb_broker *b, struct subscription *s, const struct kb_nats_op *op)
{
	struct kb_message m;
	fill_message(b, s, op, &m);
	if (is_answer(b, s, &m) || too_long(b, &m))
		return true;
	bool taken = b->events.delivered(b->events.context, &m);
	b->offered = kb_slice(NULL, 0);
	if (!taken)
		return false;
	kb_traffic_delivered(b->config.traffic, &m);
	if (s->config->durable && !b->leave_by)
		kb_nats_durable_taken(&s->durable, &b->link.out);
	return true;
}

static bool offer(struct kb_broker *b, const struct kb_nats_op *op)
{
	if (op->sid > 0 && op->sid <= b->n_subscriptions)
		return offer_to(b, &b->subscriptions[op->sid - 1], op);
	if (op->sid == STORE_SID) {
		kb_buf_clear(&b->headers);
		kb_buf_clear(&b->properties);
		kb_nats_headers_read(op->headers, &b->headers, &b->properties);
		kb_nats_store_heed(&b->store, op->subject, op->payload, kb_buf_slice(&b->properties), &b->events);
	}
	return true;
}

/* -- a server that is about to close -- */

/* Another one for each connection: the clients of a cluster shall not all come to its other servers at once. */
static int64_t moment_to_leave(void)
{
	uint32_t random = 0;
	if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
		random = (uint32_t)getpid() * 2654435761u;
	return kb_tcp_now_ms() + random % LEAVE_WITHIN_MS;
}

static void note_info(struct kb_broker *b, const struct kb_nats_op *op)
{
	kb_nats_link_note_info(&b->link, op);
	if (!b->link.info.lame_duck || b->lame_duck)
		return;
	b->lame_duck = true;
	if (kb_nats_servers_others(&b->servers, b->server, b->link.info.servers, few_have_certificates(&b->config.tls)))
		b->leave_at = moment_to_leave();
	kb_log(KB_LOG_WARNING, "nats: %s is about to close (lame duck mode), %s", b->address,
		b->leave_at ? "another server will take its place" : "and no other server is known");
	kb_traffic_note(b->config.traffic, lame_duck);
	tell(b, "lame-duck");
}

/* Nothing more is published and nothing more asked for, so with the PONG nothing is on its way in either direction. */
static void begin_to_leave(struct kb_broker *b)
{
	for (size_t i = 0; i < b->n_subscriptions; i++)
		kb_nats_put_unsubscribe(&b->link.out, i + 1);
	kb_nats_link_ping(&b->link);
	b->leave_by = kb_tcp_now_ms() + LEAVING_MS;
}

static bool leaves_now(const struct kb_broker *b)
{
	return b->leave_by && !b->held && (b->link.pongs_due == 0 || kb_tcp_now_ms() >= b->leave_by);
}

static enum kb_broker_result leave(struct kb_broker *b)
{
	kb_log(KB_LOG_NOTICE, "nats: left %s, which is about to close", b->address);
	kb_traffic_state(b->config.traffic, KB_CONNECTION_CLOSED, b->address, "lame duck mode");
	disconnect(b, b->link.pongs_due ? LINGER_MS : 0);
	return KB_BROKER_LOST;
}

/* -- reading and writing -- */

/* What the server says of itself and the connection. */
static void heed(struct kb_broker *b, const struct kb_nats_op *op)
{
	if (op->kind == KB_NATS_PING)
		kb_buf_append_slice(&b->link.out, KB_SLICE_LITERAL("PONG\r\n"));
	else if (op->kind == KB_NATS_ERR)
		note_error(b, op->text);
	else if (op->kind == KB_NATS_INFO)
		note_info(b, op);
	else if (op->kind == KB_NATS_PONG)
		kb_nats_link_note_pong(&b->link);
}

/* Hands over what was read. False: some of it must wait for the next process(). */
static bool deliver(struct kb_broker *b, unsigned *left)
{
	struct kb_nats_op op;
	size_t size;
	b->held = false;
	while (b->link.up && kb_nats_link_peek(&b->link, &op, &size)) {
		if (op.kind != KB_NATS_MSG)
			heed(b, &op);
		else if (!*left)
			return false;
		else if (b->held = !offer(b, &op), b->held)
			return false;
		else
			--*left;
		kb_nats_link_take(&b->link, size);
	}
	return true;
}

/* A connection that only publishes hears little, and mostly when it is idle: looking costs a system call. */
static bool worth_reading(const struct kb_broker *b)
{
	return b->n_subscriptions || b->store.inbox[0] || !b->published || b->unread >= READ_RARELY;
}

/* True: all that the socket had, as far as the budget goes, was read and delivered. */
static bool read_and_deliver(struct kb_broker *b, unsigned left)
{
	bool done = deliver(b, &left);
	if (!done || !left || !worth_reading(b))
		return done;
	do {
		b->unread = 0;
		kb_nats_link_read(&b->link);
		done = deliver(b, &left);
	} while (done && kb_nats_link_has_more(&b->link));
	return done;
}

static enum kb_broker_result lost(struct kb_broker *b)
{
	if (b->link.open) {
		kb_log(KB_LOG_ERROR, "nats: connection to %s lost: %s", b->address, b->link.why);
		kb_traffic_state(b->config.traffic, KB_CONNECTION_CLOSED, b->address, b->link.why);
		if (b->link.cut_off)
			note_slow_consumer(b);
		disconnect(b, 0);
	}
	return KB_BROKER_LOST;
}

static enum kb_broker_result nats_process(struct kb_broker *b, unsigned max_messages)
{
	if (b->refused && !b->leave_by)
		retry_refused(b);
	if (b->leave_at && !b->leave_by && kb_tcp_now_ms() >= b->leave_at)
		begin_to_leave(b);
	bool done = !b->link.up || read_and_deliver(b, max_messages);
	if (b->renewing)
		renew(b);
	kb_nats_store_expire(&b->store, &b->events);
	if (!b->leave_by)
		look_after_durables(b);
	b->published = false;
	kb_nats_link_keep_alive(&b->link, b->held || b->leave_by ? 0 : b->config.heartbeat_s * 1000);
	if (kb_nats_link_waiting(&b->link))
		kb_nats_link_write(&b->link);
	if (!b->link.up)
		return lost(b);
	if (done && leaves_now(b))
		return leave(b);
	return done || b->held ? KB_BROKER_OK : KB_BROKER_AGAIN;
}

/* -- waiting -- */

static short nats_poll_events(const struct kb_broker *b)
{
	return kb_nats_link_poll_events(&b->link, !b->held);
}

static int nats_poll_fd(const struct kb_broker *b)
{
	/* A closed peer would wake a loop that asks for nothing, over and over. */
	return b->link.open && nats_poll_events(b) ? b->link.tcp : -1;
}

static int nats_poll_timeout_ms(const struct kb_broker *b)
{
	return b->held ? HELD_MS : LOOK_MS;
}

const struct kb_broker_api kb_nats = {
	.name = "nats",
	.open = nats_open,
	.close = nats_close,
	.connect = nats_connect,
	.address = nats_address,
	.subscribe = nats_subscribe,
	.publish = nats_publish,
	.renew = nats_renew,
	.settle = nats_settle,
	.postpone = nats_postpone,
	.progress = nats_progress,
	.process = nats_process,
	.poll_fd = nats_poll_fd,
	.poll_events = nats_poll_events,
	.poll_timeout_ms = nats_poll_timeout_ms,
};
