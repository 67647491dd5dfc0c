/* NATS behind the contract of broker.h. Core NATS delivers at most once: what the library has taken counts as sent. */
#include <stdio.h>
#include <stdlib.h>
#include <poll.h>
#include <time.h>
#include "broker/broker.h"
#include "broker/nats_link.h"
#include "broker/nats_message.h"
#include "broker/nats_servers.h"
#include "broker/traffic.h"
#include "core/log.h"

enum {
	WRITE_BYTES = 64 * 1024, /* publish() writes when so much waits */
	UNSENT_MAX = 512 * 1024, /* and takes no more when so much is left */
	READ_AGAIN = 16 * 1024,  /* delivered by one read: the socket probably has more */
	READ_RARELY = 64 * 1024, /* bytes between two looks of a busy publisher at what the server says */
	LOOK_MS = 1000,          /* how late the doings of the library's threads are noticed */
	HELD_MS = 10,            /* a delivery that found no room is offered again */
	LINGER_MS = 500,         /* for the last bytes to reach the server */
	REFUSED_S = 30           /* until a subscription is tried again */
};

struct subscription {
	const struct kb_subscription *config;
	uint32_t index;
	natsSubscription *handle;
	time_t retry_at; /* monotonic second; 0: the server has not refused it */
};

struct kb_broker {
	struct kb_broker_config config;
	struct kb_broker_events events;
	struct kb_nats_servers servers;
	const struct kb_nats_server *server; /* of this connection; NULL: not connected */
	char address[300];

	struct kb_nats_link link;
	uint32_t generation; /* counts connections */
	size_t payload_max;  /* bytes; 0: the server did not say */
	size_t unsent;       /* bytes that wait for the socket, or fewer */
	size_t unread;       /* bytes published since the last read */
	bool published;      /* since the last process() */
	size_t delivered;    /* bytes delivered since the last read */

	struct subscription *subscriptions;
	size_t n_subscriptions, turn;
	bool refused;  /* one of them waits to be tried again */
	natsMsg *held; /* found no room; from subscriptions[turn] */
	struct kb_buf headers;

	struct kb_log_limit bad_subject, bad_headers, too_long, not_taken, long_delivery, broken_headers, reported;
};

static unsigned open_brokers; /* in this process: the last one ends the library */

/* -- addresses and connections -- */

static bool read_servers(struct kb_broker *b, size_t *bad_url, const char **what)
{
	if (!kb_nats_servers_init(&b->servers, b->config.urls, b->config.n_urls, bad_url, what))
		return false;
	for (*bad_url = 0; *bad_url < b->servers.n; ++*bad_url)
		if (b->servers.list[*bad_url].tls) {
			*what = "tls:// is not supported yet";
			return false;
		}
	return true;
}

static struct kb_broker *nats_open(
	const struct kb_broker_config *config, const struct kb_broker_events *events, size_t *bad_url)
{
	const char *what;
	struct kb_broker *b = calloc(1, sizeof *b);
	if (!b)
		return NULL;
	b->config = *config;
	b->events = *events;
	if (!read_servers(b, bad_url, &what)) {
		kb_log(KB_LOG_ERROR, "nats: address %zu cannot be read: %s", *bad_url + 1, what);
		kb_nats_servers_free(&b->servers);
		free(b);
		return NULL;
	}
	kb_nats_server_print(&b->servers.list[0], b->address, sizeof b->address);
	open_brokers++;
	return b;
}

static void forget_subscriptions(struct kb_broker *b)
{
	for (size_t i = 0; i < b->n_subscriptions; i++)
		natsSubscription_Destroy(b->subscriptions[i].handle);
	natsMsg_Destroy(b->held);
	b->held = NULL;
	b->n_subscriptions = b->turn = 0;
	b->refused = false;
}

static void remember_servers(struct kb_broker *b)
{
	char **urls = NULL;
	int n = 0;
	if (natsConnection_GetDiscoveredServers(b->link.nc, &urls, &n) == NATS_OK)
		kb_nats_servers_announced(&b->servers, urls, (size_t)n, b->server);
	for (int i = 0; i < n; i++)
		free(urls[i]);
	free(urls);
}

static void disconnect(struct kb_broker *b, int linger_ms)
{
	if (!b->link.nc)
		return;
	remember_servers(b);
	kb_nats_link_close(&b->link, linger_ms);
	forget_subscriptions(b); /* after the connection: else each would ask the server to end it */
	b->server = NULL;
	b->unsent = b->unread = b->delivered = 0;
}

static void nats_close(struct kb_broker *b)
{
	if (!b)
		return;
	disconnect(b, LINGER_MS);
	if (--open_brokers == 0)
		kb_nats_link_end_library();
	kb_nats_servers_free(&b->servers);
	kb_buf_free(&b->headers);
	free(b->subscriptions);
	free(b);
}

/* While it connects, the library goes on to servers that the first one announced, if that one refuses us. */
static void note_address(struct kb_broker *b)
{
	char url[300];
	const char *what;
	struct kb_nats_server server;
	if (natsConnection_GetConnectedUrl(b->link.nc, url, sizeof url) != NATS_OK)
		return;
	if (!kb_nats_server_parse(url, &server, &what))
		return;
	kb_nats_server_print(&server, b->address, sizeof b->address);
	kb_nats_server_free(&server);
}

static void log_connected(const struct kb_broker *b)
{
	const char *user = b->server->user;
	if (user && b->server->password)
		kb_log(KB_LOG_NOTICE, "nats: connected to %s as user %s", b->address, user);
	else
		kb_log(KB_LOG_NOTICE, "nats: connected to %s %s", b->address, user ? "with a token" : "without credentials");
}

static enum kb_broker_result nats_connect(struct kb_broker *b)
{
	char why[256];
	disconnect(b, 0);
	b->server = kb_nats_servers_next(&b->servers);
	kb_nats_server_print(b->server, b->address, sizeof b->address);
	kb_traffic_state(b->config.traffic, KB_CONNECTION_CONNECTING, b->address, NULL);
	if (!kb_nats_link_open(&b->link, b->server, &b->config, why, sizeof why)) {
		kb_log(KB_LOG_ERROR, "nats: cannot connect to %s: %s", b->address, why);
		kb_traffic_state(b->config.traffic, KB_CONNECTION_CLOSED, b->address, why);
		return KB_BROKER_LOST;
	}
	int64_t max = natsConnection_GetMaxPayload(b->link.nc);
	b->payload_max = max > 0 ? (size_t)max : 0;
	b->generation++;
	note_address(b);
	log_connected(b);
	kb_traffic_state(b->config.traffic, KB_CONNECTION_OPEN, b->address, NULL);
	return KB_BROKER_OK;
}

static const char *nats_address(const struct kb_broker *b)
{
	return b->address;
}

/* -- subscriptions -- */

static natsStatus start(struct kb_broker *b, struct subscription *s)
{
	const char *subject = s->config->routing[0], *group = s->config->queue.name;
	natsStatus status = *group ? natsConnection_QueueSubscribeSync(&s->handle, b->link.nc, subject, group)
							   : natsConnection_SubscribeSync(&s->handle, b->link.nc, subject);
	/* What waits here is bounded by one read: the library must not drop any of it. */
	return status == NATS_OK ? natsSubscription_SetPendingLimits(s->handle, -1, -1) : status;
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
	if (!kb_nats_link_up(&b->link))
		return KB_BROKER_LOST;
	const char *subject = config->n_routing ? config->routing[0] : "", *group = config->queue.name;
	const char *fault = kb_nats_pattern_fault(kb_slice_from(subject));
	if (!fault && *group && kb_nats_subject_fault(kb_slice_from(group)))
		fault = "its queue group is no word";
	if (fault) {
		kb_log(
			KB_LOG_ERROR, "nats: cannot subscribe to \"%.200s\" (queue group \"%.200s\"): %s", subject, group, fault);
		kb_traffic_subscription(b->config.traffic, index, fault);
		return KB_BROKER_INVALID;
	}
	struct subscription *s = add_subscription(b);
	if (!s)
		return KB_BROKER_AGAIN;
	*s = (struct subscription){.config = config, .index = index};
	natsStatus status = start(b, s);
	kb_traffic_subscription(b->config.traffic, index, status == NATS_OK ? NULL : natsStatus_GetText(status));
	if (status == NATS_OK) {
		b->n_subscriptions++;
		kb_nats_link_write(&b->link);
	} else {
		kb_log(KB_LOG_ERROR, "nats: cannot subscribe to \"%.200s\": %s", subject, natsStatus_GetText(status));
	}
	return status == NATS_OK ? KB_BROKER_OK : kb_nats_link_up(&b->link) ? KB_BROKER_INVALID : KB_BROKER_LOST;
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

static void look_at_errors(struct kb_broker *b)
{
	char what[256];
	if (!kb_nats_link_error(what, sizeof what))
		return;
	kb_log_limited(&b->reported, KB_LOG_ERROR, "nats: %s: %s", b->address, what);
	note_refusal(b, what);
}

static void retry_refused(struct kb_broker *b)
{
	time_t now = now_s();
	b->refused = false;
	for (size_t i = 0; i < b->n_subscriptions; i++) {
		struct subscription *s = &b->subscriptions[i];
		if (s->retry_at && s->retry_at <= now) {
			s->retry_at = 0;
			natsSubscription_Destroy(s->handle);
			s->handle = NULL;
			if (start(b, s) != NATS_OK)
				s->retry_at = now + REFUSED_S;
			else
				kb_traffic_subscription(b->config.traffic, s->index, NULL);
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
	if (b->payload_max && headers + m->payload.n > b->payload_max) {
		kb_log_limited(&b->too_long, KB_LOG_ERROR,
			"nats: message to \"%.*s\" dropped: it has %zu bytes, and the server takes %zu (max_payload)",
			KB_SLICE_FMT(m->key), headers + m->payload.n, b->payload_max);
		return false;
	}
	return true;
}

static natsStatus publish_with_headers(
	struct kb_broker *b, const struct kb_message *m, const char *subject, const char *reply)
{
	natsMsg *message = NULL;
	natsStatus s = natsMsg_Create(&message, subject, reply, m->payload.p, (int)m->payload.n);
	s = s ? s : kb_nats_headers_set(m->headers, message);
	s = s ? s : natsConnection_PublishMsg(b->link.nc, message);
	natsMsg_Destroy(message);
	return s;
}

static natsStatus hand_over(struct kb_broker *b, const struct kb_message *m)
{
	char strings[KB_NATS_LINE_MAX + 2], *subject = strings, *reply = NULL;
	memcpy(subject, m->key.p, m->key.n);
	subject[m->key.n] = '\0';
	if (m->reply.n) {
		reply = subject + m->key.n + 1;
		memcpy(reply, m->reply.p, m->reply.n);
		reply[m->reply.n] = '\0';
	}
	if (m->headers.n)
		return publish_with_headers(b, m, subject, reply);
	if (reply)
		return natsConnection_PublishRequest(b->link.nc, subject, reply, m->payload.p, (int)m->payload.n);
	return natsConnection_Publish(b->link.nc, subject, m->payload.p, (int)m->payload.n);
}

static void write_waiting(struct kb_broker *b)
{
	kb_nats_link_write(&b->link);
	int left = kb_nats_link_wants_write(&b->link) ? natsConnection_Buffered(b->link.nc) : 0;
	b->unsent = left > 0 ? (size_t)left : 0;
}

static enum kb_broker_result nats_publish(struct kb_broker *b, const struct kb_message *m, uint64_t *sequence)
{
	*sequence = 0;
	if (!kb_nats_link_up(&b->link))
		return KB_BROKER_LOST;
	if (b->unsent >= WRITE_BYTES)
		write_waiting(b);
	if (b->unsent >= UNSENT_MAX)
		return KB_BROKER_AGAIN;
	if (!acceptable(b, m))
		return KB_BROKER_INVALID;
	natsStatus s = hand_over(b, m);
	if (s == NATS_OK) {
		size_t size = m->key.n + m->reply.n + m->headers.n + m->payload.n + 16;
		b->unsent += size;
		b->unread += size;
		b->published = true;
		kb_traffic_sent(b->config.traffic, m->payload.n);
		return KB_BROKER_OK;
	}
	if (!kb_nats_link_up(&b->link) || s == NATS_CONNECTION_CLOSED)
		return KB_BROKER_LOST;
	kb_log_limited(&b->not_taken, KB_LOG_ERROR, "nats: message to \"%.*s\" %s: %s", KB_SLICE_FMT(m->key),
		s == NATS_NO_MEMORY ? "delayed" : "dropped", natsStatus_GetText(s));
	return s == NATS_NO_MEMORY ? KB_BROKER_AGAIN : KB_BROKER_INVALID;
}

/* Core NATS has no acknowledgements. */
static enum kb_broker_result nats_settle(struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome)
{
	(void)origin;
	(void)outcome;
	return kb_nats_link_up(&b->link) ? KB_BROKER_OK : KB_BROKER_LOST;
}

/* -- deliveries -- */

static void fill_message(struct kb_broker *b, const struct subscription *s, natsMsg *from, struct kb_message *m)
{
	*m = (struct kb_message){.key = kb_slice_from(natsMsg_GetSubject(from)),
		.reply = kb_slice_from(natsMsg_GetReply(from)),
		.payload = kb_slice(natsMsg_GetData(from), (size_t)natsMsg_GetDataLength(from)),
		.origin = {.subscription = s->index, .generation = b->generation, .broker = b->config.index}};
	if (kb_nats_headers_get(from, &b->headers))
		m->headers = kb_buf_slice(&b->headers);
	else
		kb_log_limited(&b->broken_headers, KB_LOG_WARNING,
			"nats: delivery on \"%.*s\" goes on without its headers: they cannot be read", KB_SLICE_FMT(m->key));
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

/* False: nobody had room for it, and it is kept. */
static bool offer(struct kb_broker *b, const struct subscription *s, natsMsg *message)
{
	struct kb_message m;
	fill_message(b, s, message, &m);
	bool wanted = !too_long(b, &m);
	if (wanted && !b->events.delivered(b->events.context, &m)) {
		b->held = message;
		return false;
	}
	if (wanted)
		kb_traffic_delivered(b->config.traffic, &m);
	b->delivered += m.key.n + m.reply.n + m.headers.n + m.payload.n + 16;
	b->held = NULL;
	natsMsg_Destroy(message);
	return true;
}

/* False: some of it must wait for the next process(). */
static bool deliver_from(struct kb_broker *b, struct subscription *s, unsigned *left)
{
	uint64_t waiting = 0;
	natsMsg *message;
	if (natsSubscription_QueuedMsgs(s->handle, &waiting) != NATS_OK)
		return true;
	for (; waiting && *left; waiting--, (*left)--) {
		if (natsSubscription_NextMsg(&message, s->handle, 0) != NATS_OK)
			return true;
		if (!offer(b, s, message))
			return false;
	}
	return waiting == 0;
}

/* False: some of what was read must wait for the next process(). */
static bool deliver(struct kb_broker *b, unsigned *left)
{
	if (b->held) {
		if (!*left || !offer(b, &b->subscriptions[b->turn], b->held))
			return false;
		--*left;
	}
	for (size_t i = 0; i < b->n_subscriptions; i++) {
		if (!deliver_from(b, &b->subscriptions[b->turn], left))
			return false;
		b->turn = (b->turn + 1) % b->n_subscriptions;
	}
	return true;
}

/* A connection that only publishes hears little, and mostly when it is idle: looking costs a system call. */
static bool worth_reading(struct kb_broker *b)
{
	return b->n_subscriptions || !b->published || b->unread >= READ_RARELY || !b->link.heard;
}

/* True: all that the socket had, as far as the budget goes, was read and delivered. */
static bool read_and_deliver(struct kb_broker *b, unsigned left)
{
	bool done = deliver(b, &left);
	if (!done || !worth_reading(b))
		return done;
	do {
		b->delivered = b->unread = 0;
		kb_nats_link_read(&b->link);
		done = deliver(b, &left);
	} while (done && b->delivered >= READ_AGAIN && left);
	return done;
}

static enum kb_broker_result lost(struct kb_broker *b)
{
	char why[256];
	if (b->link.nc && kb_nats_link_lost(&b->link, why, sizeof why)) {
		kb_log(KB_LOG_ERROR, "nats: connection to %s lost: %s", b->address, why);
		kb_traffic_state(b->config.traffic, KB_CONNECTION_CLOSED, b->address, why);
		disconnect(b, 0);
	}
	return KB_BROKER_LOST;
}

static enum kb_broker_result nats_process(struct kb_broker *b, unsigned max_messages)
{
	if (!b->link.nc)
		return KB_BROKER_LOST;
	look_at_errors(b);
	if (b->refused)
		retry_refused(b);
	bool done = read_and_deliver(b, max_messages);
	b->published = false;
	if (kb_nats_link_wants_write(&b->link))
		write_waiting(b);
	if (!kb_nats_link_up(&b->link))
		return lost(b);
	return done || b->held ? KB_BROKER_OK : KB_BROKER_AGAIN;
}

/* -- waiting -- */

static short nats_poll_events(const struct kb_broker *b)
{
	return (short)((b->held ? 0 : POLLIN) | (kb_nats_link_wants_write(&b->link) ? POLLOUT : 0));
}

static int nats_poll_fd(const struct kb_broker *b)
{
	/* A closed peer would wake a loop that asks for nothing, over and over. */
	return b->link.nc && nats_poll_events(b) ? b->link.fd : -1;
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
	.settle = nats_settle,
	.process = nats_process,
	.poll_fd = nats_poll_fd,
	.poll_events = nats_poll_events,
	.poll_timeout_ms = nats_poll_timeout_ms,
};
