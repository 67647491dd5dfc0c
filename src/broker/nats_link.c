#include "broker/nats_link.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include "core/buf.h"

enum {
	IO_BYTES = 32 * 1024, /* one read: what it holds still fits into the cache when it is handed over */
	PINGS_OUT_MAX = 2     /* unanswered ones before the library closes the connection */
};

/* Since 3.10 the event loop closes the socket, since 3.12 it also says when it is done with the connection. */
extern void natsConnection_ProcessCloseEvent(natsSock *socket) __attribute__((weak));
extern void natsConnection_ProcessDetachedEvent(natsConnection *nc) __attribute__((weak));

/* -- what the library asks of an event loop -- */

static natsStatus attach(void **user, void *loop, natsConnection *nc, natsSock socket)
{
	struct kb_nats_link *link = loop;
	/* The library asks for a reset on close, which may discard what the server has not read. */
	struct linger off = {0};
	setsockopt(socket, SOL_SOCKET, SO_LINGER, &off, sizeof off);
	(void)nc;
	link->fd = socket;
	*user = link;
	return NATS_OK;
}

static natsStatus want_read(void *user, bool add)
{
	struct kb_nats_link *link = user;
	if (!add) /* only when the connection ends */
		atomic_store(&link->closed, true);
	return NATS_OK;
}

static natsStatus want_write(void *user, bool add)
{
	struct kb_nats_link *link = user;
	atomic_store_explicit(&link->wants_write, add, memory_order_relaxed);
	return NATS_OK;
}

static natsStatus detach(void *user)
{
	struct kb_nats_link *link = user;
	atomic_store(&link->closed, true);
	atomic_store(&link->detached, true);
	return NATS_OK;
}

/* The library frees messages on a thread of its own, which costs more than all else about a delivery: waking it, and
 * memory that is freed by another thread than took it. This stands in for the function that queues them there: false
 * means, in every version, that the caller frees the message itself. A library that does not let itself be talked out
 * of it is merely slower. */
__attribute__((visibility("default"))) bool natsGC_collect(const void *item);

bool natsGC_collect(const void *item)
{
	(void)item;
	return false;
}

/* -- errors: the library reports them on a thread of its own, at any time, even after a connection is destroyed -- */

static struct {
	pthread_mutex_t lock;
	atomic_bool waiting;
	char text[256];
} reported = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void on_error(natsConnection *nc, natsSubscription *subscription, natsStatus status, void *context)
{
	const char *text = NULL;
	const char *subject = subscription ? natsSubscription_GetSubject(subscription) : NULL;
	(void)context;
	if (natsConnection_GetLastError(nc, &text) == NATS_OK || !text || !*text)
		text = natsStatus_GetText(status);
	pthread_mutex_lock(&reported.lock);
	snprintf(reported.text, sizeof reported.text, "%s%s%s", text, subject ? ", subject " : "", subject ? subject : "");
	pthread_mutex_unlock(&reported.lock);
	atomic_store(&reported.waiting, true);
}

bool kb_nats_link_error(char *what, size_t size)
{
	if (!atomic_load_explicit(&reported.waiting, memory_order_relaxed) || !atomic_exchange(&reported.waiting, false))
		return false;
	pthread_mutex_lock(&reported.lock);
	snprintf(what, size, "%s", reported.text);
	pthread_mutex_unlock(&reported.lock);
	return true;
}

/* -- opening -- */

static natsStatus set_url(natsOptions *options, const struct kb_nats_server *server)
{
	struct kb_buf url = {0};
	char address[300];
	kb_nats_server_print(server, address, sizeof address);
	kb_buf_printf(&url, "nats://%s", address);
	kb_buf_append_byte(&url, '\0');
	natsStatus s = url.failed ? NATS_NO_MEMORY : natsOptions_SetURL(options, url.p);
	kb_buf_free(&url);
	return s;
}

/* The library puts names and credentials into its JSON as they are. */
static void append_escaped(struct kb_buf *to, const char *text)
{
	for (; text && *text; text++) {
		if (*text == '"' || *text == '\\')
			kb_buf_append_byte(to, '\\');
		kb_buf_append_byte(to, *text);
	}
	kb_buf_append_byte(to, '\0');
}

static natsStatus set_credentials(natsOptions *options, const struct kb_nats_server *server)
{
	struct kb_buf user = {0}, password = {0};
	natsStatus s;
	if (!server->user)
		return NATS_OK;
	append_escaped(&user, server->user);
	append_escaped(&password, server->password);
	if (user.failed || password.failed)
		s = NATS_NO_MEMORY;
	else if (server->password)
		s = natsOptions_SetUserInfo(options, user.p, password.p);
	else
		s = natsOptions_SetToken(options, user.p);
	kb_buf_free(&user);
	kb_buf_free(&password);
	return s;
}

static natsStatus set_name(natsOptions *options, const char *name)
{
	struct kb_buf escaped = {0};
	append_escaped(&escaped, name);
	natsStatus s = escaped.failed ? NATS_NO_MEMORY : natsOptions_SetName(options, escaped.p);
	kb_buf_free(&escaped);
	return s;
}

/* No certificate is for this name. Costs 50 ms, for the library then reads all of the system's. */
static natsStatus refuse_tls(natsOptions *options)
{
	return natsOptions_SetExpectedHostname(options, "tls-is-not-supported-yet.invalid");
}

static natsStatus set_all(natsOptions *options, struct kb_nats_link *link, const struct kb_nats_server *server,
	const struct kb_broker_config *config)
{
	natsStatus s = set_url(options, server);
	s = s ? s : set_credentials(options, server);
	s = s || !link->insists_on_tls ? s : refuse_tls(options);
	s = s ? s : set_name(options, config->client_name);
	s = s ? s : natsOptions_SetTimeout(options, config->connect_timeout_ms);
	s = s ? s : natsOptions_SetPingInterval(options, (int64_t)config->heartbeat_s * 1000);
	s = s ? s : natsOptions_SetMaxPingsOut(options, PINGS_OUT_MAX);
	s = s ? s : natsOptions_SetIOBufSize(options, IO_BYTES);
	s = s ? s : natsOptions_SetAllowReconnect(options, false);
	s = s ? s : natsOptions_SetErrorHandler(options, on_error, NULL);
	/* "As soon as possible" spares the thread that flushes; with an event loop it only asks for a write. */
	s = s ? s : natsOptions_SetSendAsap(options, true);
	return s ? s : natsOptions_SetEventLoop(options, link, attach, want_read, want_write, detach);
}

static natsStatus make_connection(
	struct kb_nats_link *link, const struct kb_nats_server *server, const struct kb_broker_config *config)
{
	natsOptions *options = NULL;
	natsStatus s = nats_Open(-1);
	s = s ? s : natsOptions_Create(&options);
	s = s ? s : set_all(options, link, server, config);
	s = s ? s : natsConnection_Connect(&link->nc, options);
	natsOptions_Destroy(options);
	return s;
}

/* "(conn.c:733): SSL handshake error" begins with what only the library's authors want to know. */
static const char *without_place(const char *text)
{
	const char *end = *text == '(' ? strstr(text, "): ") : NULL;
	return end ? end + 3 : text;
}

bool kb_nats_link_open(struct kb_nats_link *link, const struct kb_nats_server *server,
	const struct kb_broker_config *config, char *why, size_t size)
{
	sigset_t all, before;
	*link = (struct kb_nats_link){.fd = -1, .insists_on_tls = link->insists_on_tls};
	sigfillset(&all); /* the library's threads inherit the mask: signals are for the main thread */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	natsStatus s = make_connection(link, server, config);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (s == NATS_OK)
		return true;
	const char *text = nats_GetLastError(NULL);
	snprintf(why, size, "%s", text && *text ? without_place(text) : natsStatus_GetText(s));
	link->nc = NULL;
	return false;
}

/* -- driving -- */

void kb_nats_link_write(struct kb_nats_link *link)
{
	natsConnection_ProcessWriteEvent(link->nc);
}

/* The library goes over to TLS when the server asks for it. With an event loop it then reads in a circle, at full speed
 * and without an end, while the socket has less than a whole record: it must not begin. A record begins with a control
 * character, a line of the protocol never does. */
static bool may_read(struct kb_nats_link *link)
{
	unsigned char first;
	if (link->heard)
		return true;
	ssize_t n = recv(link->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return false;
	link->heard = n > 0;
	link->insists_on_tls = n > 0 && first < ' ';
	if (link->insists_on_tls)
		atomic_store(&link->closed, true);
	return !link->insists_on_tls;
}

void kb_nats_link_read(struct kb_nats_link *link)
{
	if (may_read(link))
		natsConnection_ProcessReadEvent(link->nc);
}

bool kb_nats_link_lost(struct kb_nats_link *link, char *why, size_t size)
{
	const char *text = NULL;
	if (kb_nats_link_up(link))
		return false;
	if (!link->nc || natsConnection_GetLastError(link->nc, &text) == NATS_OK || !text || !*text)
		text = link->insists_on_tls ? "the server wants TLS, which is not supported yet" : "closed";
	snprintf(why, size, "%s", text);
	return true;
}

/* -- closing -- */

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wait_for(struct kb_nats_link *link, short events, int64_t until)
{
	int64_t left = until - now_ms();
	struct pollfd fd = {link->fd, events, 0};
	if (left > 0)
		poll(&fd, 1, (int)left);
}

/* Writes what waits and then says that nothing more follows: the server reads all of it before it closes, too. */
static void part_in_good_order(struct kb_nats_link *link, int64_t until)
{
	char ignored[4096];
	while (kb_nats_link_up(link) && kb_nats_link_wants_write(link) && now_ms() < until) {
		kb_nats_link_write(link);
		if (kb_nats_link_wants_write(link))
			wait_for(link, POLLOUT, until);
	}
	if (!kb_nats_link_up(link) || kb_nats_link_wants_write(link))
		return;
	shutdown(link->fd, SHUT_WR);
	while (now_ms() < until && recv(link->fd, ignored, sizeof ignored, MSG_DONTWAIT) != 0)
		wait_for(link, POLLIN, until);
}

/* The library would wait half a second for an answer that nobody reads, were anything left to write: let it fail to
 * write first. */
static void give_up_unsent(struct kb_nats_link *link)
{
	if (!kb_nats_link_up(link) || !kb_nats_link_wants_write(link))
		return;
	shutdown(link->fd, SHUT_RDWR);
	kb_nats_link_write(link);
}

/* The ping timer's thread may be on its way through our callbacks: the link must outlive that. */
static void wait_until_detached(struct kb_nats_link *link)
{
	int64_t until = now_ms() + 1000;
	while (!atomic_load(&link->detached) && now_ms() < until)
		poll(NULL, 0, 1);
}

void kb_nats_link_close(struct kb_nats_link *link, int linger_ms)
{
	if (!link->nc)
		return;
	if (linger_ms > 0)
		part_in_good_order(link, now_ms() + linger_ms);
	give_up_unsent(link);
	natsConnection_Close(link->nc);
	wait_until_detached(link);
	if (natsConnection_ProcessCloseEvent)
		natsConnection_ProcessCloseEvent(&link->fd);
	if (natsConnection_ProcessDetachedEvent)
		natsConnection_ProcessDetachedEvent(link->nc);
	natsConnection_Destroy(link->nc);
	link->nc = NULL;
	link->fd = -1;
}

void kb_nats_link_end_library(void)
{
	nats_ReleaseThreadMemory();
	nats_Close();
}
