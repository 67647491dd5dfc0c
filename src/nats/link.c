#include "nats/link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/tcp.h"
#include "core/clock.h"

enum {
	READ_BYTES = 32 * 1024,   /* one read: the messages in it are still in the cache when they are handed over */
	KEEP_BYTES = 1024 * 1024, /* that an empty buffer may keep */
	LOGIN_BYTES = 16 * 1024,  /* a CONNECT, with a JWT in it */
	LAST_WORDS_MS = 2000,     /* a server that sends an error to end a connection closes it at once */
	COMPACT_AT = 64 * 1024    /* bytes already sent at the front of `out` that are worth moving the rest for */
};

/* An error that did not end the connection is not the reason of an end much later. */
static void forget_last_words(struct kb_nats_link *link, int64_t now)
{
	if (now - link->said_at >= LAST_WORDS_MS)
		link->said[0] = '\0';
}

void kb_nats_link_note_error(struct kb_nats_link *link, const char *what, int64_t now)
{
	snprintf(link->said, sizeof link->said, "%s", what);
	link->said_at = now;
}

void kb_nats_link_fail(struct kb_nats_link *link, const char *why)
{
	if (!link->why[0])
		snprintf(link->why, sizeof link->why, "%s", link->said[0] ? link->said : why);
	link->up = false;
}

/* -- bytes -- */

/* A read found the end. When its socket to us stays full for too long, nats-server closes it in the middle of a message
 * and does not send an error. */
static void fail_at_end(struct kb_nats_link *link, const char *why)
{
	link->cut_off = link->up && !link->said[0] && link->in.n > link->in_at;
	kb_nats_link_fail(
		link, link->cut_off ? "closed by the server in the middle of a message, as for a slow consumer" : why);
}

/* Results of system calls as those of kb_tls_read() and kb_tls_write(). */
static ssize_t moved(ssize_t n, const char **why)
{
	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return 0;
	*why = n < 0 ? strerror(errno) : NULL;
	return -1;
}

static ssize_t moved_tls(struct kb_nats_link *link, ssize_t n, const char **why)
{
	*why = n < 0 ? kb_tls_reason(link->tls) : NULL;
	return n;
}

static ssize_t receive(struct kb_nats_link *link, char *to, size_t size)
{
	const char *why = NULL;
	ssize_t n = link->tls ? moved_tls(link, kb_tls_read(link->tls, to, size), &why)
						  : moved(recv(link->tcp, to, size, MSG_DONTWAIT), &why);
	if (n < 0)
		fail_at_end(link, why ? why : "closed by the server");
	return n;
}

/* A server often sends the reason before it closes the connection, and a write may find the end first. So a failed
 * write does not end the connection: the next read does, behind the reason. */
static ssize_t give(struct kb_nats_link *link, const char *from, size_t size)
{
	const char *why = NULL;
	ssize_t n = link->tls ? moved_tls(link, kb_tls_write(link->tls, from, size), &why)
						  : moved(send(link->tcp, from, size, MSG_DONTWAIT | MSG_NOSIGNAL), &why);
	link->mute = n < 0;
	return n;
}

/* -- reading -- */

/* The buffer grows for a message that is longer, and shrinks again afterwards. */
static size_t make_room(struct kb_nats_link *link)
{
	if (link->in_at == link->in.n) {
		if (link->in.capacity > KEEP_BYTES)
			kb_buf_free(&link->in);
		kb_buf_clear(&link->in);
	} else if (link->in_at) {
		kb_buf_consume(&link->in, link->in_at);
	}
	link->in_at = 0;
	size_t room = link->in.capacity - link->in.n;
	if (room < READ_BYTES / 2)
		room = kb_buf_reserve(&link->in, READ_BYTES) ? link->in.capacity - link->in.n : 0;
	return room;
}

void kb_nats_link_read(struct kb_nats_link *link, int64_t now)
{
	forget_last_words(link, now);
	size_t room = make_room(link);
	if (room == 0) {
		kb_nats_link_fail(link, "out of memory");
		return;
	}
	ssize_t n = receive(link, link->in.p + link->in.n, room);
	link->in_more = n > 0 && (size_t)n == room;
	if (n <= 0)
		return;
	link->in.n += (size_t)n;
	link->heard_at = now;
	link->pings_out = 0; /* here: the answer may come within the millisecond of the PING */
}

bool kb_nats_link_has_more(const struct kb_nats_link *link)
{
	return link->up && (link->in_more || (link->tls && kb_tls_pending(link->tls)));
}

bool kb_nats_link_peek(struct kb_nats_link *link, struct kb_nats_wire_op *op, size_t *size)
{
	const char *fault = NULL;
	size_t need = 0;
	if (link->in_at == link->in.n) /* the buffer may be without memory */
		return false;
	struct kb_slice rest = kb_slice(link->in.p + link->in_at, link->in.n - link->in_at);
	ssize_t n = kb_nats_wire_read(rest, op, &need, &fault);
	if (n < 0)
		kb_nats_link_fail(link, fault);
	else if (n == 0 && need > link->in.capacity && !kb_buf_reserve(&link->in, need - link->in.n))
		kb_nats_link_fail(link, "out of memory");
	*size = n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* -- writing -- */

void kb_nats_link_write(struct kb_nats_link *link)
{
	ssize_t n = 1;
	if (link->out.failed)
		kb_nats_link_fail(link, "out of memory");
	while (link->up && !link->mute && n > 0 && kb_nats_link_waiting(link)) {
		n = give(link, link->out.p + link->out_sent, kb_nats_link_waiting(link));
		link->out_sent += n > 0 ? (size_t)n : 0;
	}
	if (link->mute)
		link->out_sent = link->out.n;
	if (link->out_sent >= link->pong_end)
		link->pong_end = 0;
	if (link->out_sent == link->out.n || link->out_sent > COMPACT_AT) {
		link->pong_end -= link->pong_end ? link->out_sent : 0;
		kb_buf_consume(&link->out, link->out_sent);
		link->out_sent = 0;
	}
	if (link->out.n == 0 && link->out.capacity > KEEP_BYTES)
		kb_buf_free(&link->out);
}

void kb_nats_link_keep_alive(struct kb_nats_link *link, int interval_ms, int pings_out_max, int64_t now)
{
	if (!link->up || interval_ms <= 0)
		return;
	int64_t since = link->pings_out ? link->pinged_at : link->heard_at;
	if (now - since < interval_ms)
		return;
	if (link->pings_out >= pings_out_max) {
		forget_last_words(link, now);
		kb_nats_link_fail(link, "stale connection: no PONG from the server");
		return;
	}
	kb_nats_link_ping(link);
	link->pinged_at = now;
	link->pings_out++;
}

void kb_nats_link_ping(struct kb_nats_link *link)
{
	kb_buf_append_slice(&link->out, KB_SLICE_LITERAL("PING\r\n"));
	link->pings++;
}

void kb_nats_link_pong(struct kb_nats_link *link)
{
	if (link->pong_end)
		return;
	kb_buf_append_slice(&link->out, KB_SLICE_LITERAL("PONG\r\n"));
	link->pong_end = link->out.n;
}

void kb_nats_link_note_pong(struct kb_nats_link *link)
{
	link->pongs += link->pongs < link->pings;
}

short kb_nats_link_poll_events(const struct kb_nats_link *link, bool reading)
{
	short wants = link->tls ? kb_tls_wants(link->tls) : 0;
	return (short)((reading ? POLLIN : 0) | (kb_nats_link_waiting(link) ? POLLOUT : 0) |
				   (reading ? wants : wants & POLLOUT));
}

/* -- opening -- */

static bool wait_for(struct kb_nats_link *link, int64_t deadline)
{
	int64_t left = deadline - kb_clock_ms();
	struct pollfd p = {link->tcp, kb_nats_link_poll_events(link, true), 0};
	if (left > 0 && (link->tls == NULL || !kb_tls_pending(link->tls)))
		poll(&p, 1, (int)left);
	return left > 0;
}

/* The next operation of the server, while the connection is made. */
static bool await_op(struct kb_nats_link *link, struct kb_nats_wire_op *op, int64_t deadline)
{
	size_t size;
	while (link->up && !kb_nats_link_peek(link, op, &size)) {
		kb_nats_link_write(link);
		if (link->up && !wait_for(link, deadline))
			kb_nats_link_fail(link, "timeout while connecting");
		if (link->up)
			kb_nats_link_read(link, kb_clock_ms());
	}
	if (link->up)
		kb_nats_link_take(link, size);
	return link->up;
}

/* An INFO without servers keeps those of the INFO before. */
void kb_nats_link_note_info(struct kb_nats_link *link, const struct kb_nats_wire_op *op)
{
	link->info = kb_nats_info_read(op->text);
	if (link->info.servers.n) {
		kb_buf_clear(&link->announced);
		kb_buf_append_slice(&link->announced, link->info.servers);
	}
	link->info.servers = kb_buf_slice(&link->announced);
}

static bool await_info(struct kb_nats_link *link, int64_t deadline)
{
	struct kb_nats_wire_op op = {0};
	if (!await_op(link, &op, deadline))
		return false;
	if (op.kind != KB_NATS_INFO)
		kb_nats_link_fail(link, "not a NATS server");
	else
		kb_nats_link_note_info(link, &op);
	return link->up;
}

/* Why the handshake must not begin; NULL: it may. */
static const char *objection_to_tls(const struct kb_nats_link *link)
{
	if (!link->info.tls_required && !link->info.tls_available)
		return "TLS: not offered by the server";
	if (link->in_at != link->in.n) /* that could be from somebody in between */
		return "TLS: the server continues without encryption";
	return NULL;
}

static bool go_over_to_tls(struct kb_nats_link *link, const struct kb_nats_server *server,
	const struct kb_broker_config *config, int64_t deadline)
{
	char why[sizeof link->why];
	const char *objection = objection_to_tls(link);
	const char *name = server->known_as ? server->known_as : server->host;
	if (objection) {
		kb_nats_link_fail(link, objection);
		return false;
	}
	link->tls = kb_tls_start(link->tcp, name, &config->tls, (int)(deadline - kb_clock_ms()), why, sizeof why);
	if (!link->tls) {
		link->open = false; /* closed already */
		kb_nats_link_fail(link, why);
	}
	return link->up;
}

static bool log_in(struct kb_nats_link *link, const struct kb_nats_server *server,
	const struct kb_broker_config *config, int64_t deadline)
{
	struct kb_nats_wire_op op = {0};
	kb_buf_free(&link->out);                 /* large memory may be given back once it is empty, before it is wiped */
	kb_buf_reserve(&link->out, LOGIN_BYTES); /* growing would leave copies behind */
	const char *why = kb_nats_login_put(&link->out, &link->info, server, config);
	if (why) {
		kb_nats_link_fail(link, why);
		return false;
	}
	while (await_op(link, &op, deadline)) {
		if (op.kind == KB_NATS_PONG) {
			kb_nats_login_wipe(&link->out);
			return true;
		}
		if (op.kind == KB_NATS_INFO)
			kb_nats_link_note_info(link, &op);
		if (op.kind == KB_NATS_ERR)
			snprintf(link->why, sizeof link->why, "%.*s", KB_SLICE_FMT(op.text));
		link->up = op.kind != KB_NATS_ERR;
	}
	return false;
}

bool kb_nats_link_open(
	struct kb_nats_link *link, const struct kb_nats_server *server, const struct kb_broker_config *config)
{
	int64_t deadline = kb_clock_ms() + config->connect_timeout_ms;
	link->why[0] = link->said[0] = '\0';
	kb_buf_clear(&link->announced); /* those of another server may belong to another cluster */
	link->info = (struct kb_nats_info){0};
	link->tcp = kb_tcp_connect(server->host, server->port, config->connect_timeout_ms, link->why, sizeof link->why);
	if (link->tcp < 0)
		return false;
	link->open = link->up = true;
	link->cut_off = link->mute = false;
	link->pings_out = 0;
	link->pings = link->pongs = 0;
	link->heard_at = link->pinged_at = kb_clock_ms();
	bool good = await_info(link, deadline) &&
				(!(server->tls || link->info.tls_required) || go_over_to_tls(link, server, config, deadline)) &&
				log_in(link, server, config, deadline);
	if (!good)
		kb_nats_link_close(link, 0);
	return good;
}

/* -- closing -- */

/* Writes the rest and shuts the socket down for writing: the server reads everything before it closes, too. */
static void part_in_good_order(struct kb_nats_link *link, int64_t deadline)
{
	while (link->up && kb_nats_link_waiting(link)) {
		kb_nats_link_write(link);
		struct pollfd p = {link->tcp, POLLOUT, 0};
		int64_t left = deadline - kb_clock_ms();
		if (left <= 0)
			return;
		if (kb_nats_link_waiting(link))
			poll(&p, 1, (int)left);
	}
	if (link->up)
		shutdown(link->tcp, SHUT_WR);
	for (int64_t left; link->up && (left = deadline - kb_clock_ms()) > 0;) {
		struct pollfd p = {link->tcp, POLLIN, 0};
		link->in_at = link->in.n;
		kb_nats_link_read(link, kb_clock_ms());
		if (link->up)
			poll(&p, 1, (int)left);
	}
}

void kb_nats_link_close(struct kb_nats_link *link, int linger_ms)
{
	if (link->up && linger_ms > 0)
		part_in_good_order(link, kb_clock_ms() + linger_ms);
	if (link->tls)
		kb_tls_end(link->tls);
	else if (link->open)
		close(link->tcp);
	link->tls = NULL;
	link->open = link->up = false;
	kb_buf_clear(&link->in);
	kb_buf_clear(&link->out);
	link->in_at = link->out_sent = link->pong_end = 0;
	link->in_more = false;
}

void kb_nats_link_free(struct kb_nats_link *link)
{
	kb_nats_link_close(link, 0);
	kb_buf_free(&link->in);
	kb_buf_free(&link->out);
	kb_buf_free(&link->announced);
}
