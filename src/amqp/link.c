#include "amqp/link.h"

#include <amqp_tcp_socket.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include "amqp/frames.h"
#include "amqp/reason.h"
#include "core/clock.h"

enum {
	FRAME_MAX = 131072,    /* what librabbitmq and RabbitMQ agree on by default */
	COMPACT_AT = 64 * 1024 /* bytes already sent at the front of `out` that are worth moving the rest for */
};

/* -- connecting -- */

static amqp_table_entry_t text_entry(const char *key, const char *value)
{
	amqp_table_entry_t entry = {.key = amqp_cstring_bytes(key)};
	entry.value.kind = AMQP_FIELD_KIND_UTF8;
	entry.value.value.bytes = amqp_cstring_bytes(value);
	return entry;
}

static amqp_table_entry_t flag_entry(const char *key)
{
	amqp_table_entry_t entry = {.key = amqp_cstring_bytes(key)};
	entry.value.kind = AMQP_FIELD_KIND_BOOLEAN;
	entry.value.value.boolean = 1;
	return entry;
}

static amqp_rpc_reply_t log_in(
	struct kb_amqp_link *link, const struct kb_amqp_address *a, const struct kb_broker_config *config)
{
	amqp_table_entry_t capabilities[] = {flag_entry("publisher_confirms"), flag_entry("basic.nack"),
		flag_entry("consumer_cancel_notify"), flag_entry("connection.blocked"),
		flag_entry("authentication_failure_close")};
	amqp_table_entry_t properties[] = {text_entry("product", "kemibus"),
		text_entry("connection_name", config->client_name), {.key = amqp_cstring_bytes("capabilities")}};
	properties[2].value.kind = AMQP_FIELD_KIND_TABLE;
	properties[2].value.value.table = (amqp_table_t){sizeof capabilities / sizeof *capabilities, capabilities};
	amqp_table_t table = {sizeof properties / sizeof *properties, properties};
	return amqp_login_with_properties(link->connection, a->vhost, AMQP_DEFAULT_MAX_CHANNELS, FRAME_MAX,
		config->heartbeat_s, &table, AMQP_SASL_METHOD_PLAIN, a->user, a->password);
}

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

const char *kb_amqp_link_open(
	struct kb_amqp_link *link, const struct kb_amqp_address *address, const struct kb_broker_config *config)
{
	struct timeval timeout = time_of(config->connect_timeout_ms);
	link->timeout_ms = config->connect_timeout_ms;
	link->connection = amqp_new_connection();
	amqp_socket_t *socket = link->connection ? amqp_tcp_socket_new(link->connection) : NULL;
	if (!socket)
		return "out of memory";
	amqp_set_rpc_timeout(link->connection, &timeout);
	int64_t before = kb_clock_ms();
	int status = amqp_socket_open_noblock(socket, address->host, address->port, &timeout);
	if (status != AMQP_STATUS_OK)
		return amqp_error_string2(status);
	const char *why = address->tls ? add_tls(link, socket, address->host, &config->tls, left_ms(link, before)) : NULL;
	if (why)
		return why;
	timeout = time_of(left_ms(link, before));
	amqp_set_handshake_timeout(link->connection, &timeout);
	amqp_rpc_reply_t reply = log_in(link, address, config);
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		return kb_amqp_link_reason(link, kb_amqp_reason_of(reply));
	/* The heartbeat is agreed with the broker; from here on it is ours, not the library's. */
	link->heartbeat_s = amqp_get_heartbeat(link->connection);
	amqp_tune_connection(
		link->connection, amqp_get_channel_max(link->connection), amqp_get_frame_max(link->connection), 0);
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
