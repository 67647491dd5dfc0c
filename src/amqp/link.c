#include "amqp/link.h"

#include <amqp_tcp_socket.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include "amqp/frames.h"
#include "amqp/login.h"
#include "core/clock.h"

enum {
	COMPACT_AT = 64 * 1024 /* bytes already sent at the front of `out` that are worth moving the rest for */
};

/* -- connecting -- */

/* Puts TLS between the library's socket and the broker. */
static const char *add_tls(
	struct kb_amqp_link *link, amqp_socket_t *socket, const char *host, const struct kb_tls_options *tls, int left_ms)
{
	static char error[256];
	int tcp = amqp_get_sockfd(link->connection);
	amqp_tcp_socket_set_sockfd(socket, -1); /* whatever comes, it is not the library's any more */
	link->tls = kb_amqp_tls_start(tcp, host, tls, left_ms, error, sizeof error);
	if (!link->tls)
		return error;
	amqp_tcp_socket_set_sockfd(socket, kb_amqp_tls_plain(link->tls));
	return NULL;
}

static struct timeval time_of(int ms)
{
	return (struct timeval){ms / 1000, ms % 1000 * 1000};
}

/* One deadline for all steps of connecting; 1 at least, because 0 has a meaning of its own here and there. */
static int left_ms(const struct kb_amqp_link *link, uint64_t before)
{
	int64_t left = link->timeout_ms - (kb_clock_ms() - before);
	return left > 0 ? (int)left : 1;
}

/* The TCP connection, and TLS over it. */
static const char *connect_to(struct kb_amqp_link *link, const struct kb_amqp_address *address,
	const struct kb_broker_config *config, int64_t before)
{
	struct timeval timeout = time_of(left_ms(link, before));
	link->connection = amqp_new_connection();
	amqp_socket_t *socket = link->connection ? amqp_tcp_socket_new(link->connection) : NULL;
	if (!socket)
		return "out of memory";
	int status = amqp_socket_open_noblock(socket, address->host, address->port, &timeout);
	if (status != AMQP_STATUS_OK)
		return amqp_error_string2(status);
	struct kb_tls_options tls = kb_amqp_address_tls(address, &config->tls);
	return address->tls ? add_tls(link, socket, address->host, &tls, left_ms(link, before)) : NULL;
}

const char *kb_amqp_link_open(
	struct kb_amqp_link *link, const struct kb_amqp_address *address, const struct kb_broker_config *config)
{
	int own_ms = address->options.connect_timeout_ms;
	link->timeout_ms = own_ms ? own_ms : config->connect_timeout_ms;
	int64_t before = kb_clock_ms();
	const char *why = connect_to(link, address, config, before);
	if (why)
		return why;
	why = kb_amqp_login(link->connection, address, config, before + link->timeout_ms, &link->heartbeat_s);
	if (why)
		return kb_amqp_link_reason(link, why);
	struct timeval timeout = time_of(link->timeout_ms);
	amqp_set_rpc_timeout(link->connection, &timeout);
	link->out_at = link->alive_at = kb_clock_ms();
	return NULL;
}

void kb_amqp_link_drop(struct kb_amqp_link *link)
{
	if (link->connection)
		amqp_destroy_connection(link->connection);
	link->connection = NULL;
	kb_amqp_tls_end(link->tls); /* after its plain end was closed */
	link->tls = NULL;
	kb_buf_clear(&link->out);
	link->out_sent = 0;
}

void kb_amqp_link_free(struct kb_amqp_link *link)
{
	kb_amqp_link_drop(link);
	kb_buf_free(&link->out);
}

const char *kb_amqp_link_reason(const struct kb_amqp_link *link, const char *why)
{
	const char *reason = link->tls ? kb_amqp_tls_reason(link->tls) : NULL;
	return reason ? reason : why;
}

/* -- writing -- */

size_t kb_amqp_link_waiting(const struct kb_amqp_link *link)
{
	return link->out.n - link->out_sent;
}

const char *kb_amqp_link_flush(struct kb_amqp_link *link)
{
	while (link->out_sent < link->out.n) {
		ssize_t n = send(amqp_get_sockfd(link->connection), link->out.p + link->out_sent, kb_amqp_link_waiting(link),
			MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
			return strerror(errno);
		if (n < 0)
			break;
		link->out_sent += (size_t)n;
		link->out_at = kb_clock_ms();
	}
	if (link->out_sent == link->out.n || link->out_sent > COMPACT_AT) {
		kb_buf_consume(&link->out, link->out_sent);
		link->out_sent = 0;
	}
	return NULL;
}

const char *kb_amqp_link_flush_all(struct kb_amqp_link *link)
{
	int64_t deadline = kb_clock_ms() + link->timeout_ms;
	for (;;) {
		const char *why = kb_amqp_link_flush(link);
		int64_t now = kb_clock_ms();
		if (why || link->out.n == 0)
			return why;
		if (now >= deadline)
			return "timeout while sending to the broker";
		struct pollfd p = {amqp_get_sockfd(link->connection), POLLOUT, 0};
		poll(&p, 1, (int)(deadline - now));
	}
}

/* -- staying alive -- */

/* Milliseconds since the kernel last got data from the broker: the library swallows heartbeats without a word. */
static int64_t silence_ms(const struct kb_amqp_link *link)
{
	struct tcp_info info;
	socklen_t size = sizeof info;
	int tcp = link->tls ? kb_amqp_tls_tcp(link->tls) : amqp_get_sockfd(link->connection);
	if (getsockopt(tcp, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return 0;
	return info.tcpi_last_data_recv;
}

const char *kb_amqp_link_keep_alive(struct kb_amqp_link *link, bool reading)
{
	int64_t interval = (int64_t)link->heartbeat_s * 1000, now = kb_clock_ms();
	if (!interval || now - link->alive_at < KB_AMQP_ALIVE_CHECK_MS)
		return NULL;
	link->alive_at = now;
	if (!reading)
		link->held_at = now;
	if (now - link->held_at > 2 * interval && silence_ms(link) > 2 * interval)
		return "no heartbeat from the broker";
	if (now - link->out_at > interval / 2 && link->out.n == 0)
		kb_amqp_frames_put_heartbeat(&link->out);
	return NULL;
}
