#include "amqp/tls.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/tls.h"

enum { PUMP_BYTES = 64 * 1024 };

/* Bytes that pass through the pump in one direction. */
struct flow {
	size_t from, n;
	char bytes[PUMP_BYTES];
};

struct kb_amqp_tls {
	struct kb_tls *tls;
	int plain, ours; /* plain: the library's end of the pair, closed by it */
	pthread_t thread;
	bool has_thread;
	_Atomic bool ended; /* by the broker's side; then the reason is set */
	struct flow out, in;
};

/* -- the pump, in a thread of its own -- */

static bool moves(ssize_t n)
{
	return n > 0;
}

static bool no_data_now(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

/* Each moves what it can now, *moved says whether that was anything, and returns false when its side has ended. */

static bool take_plain(struct kb_amqp_tls *tls, bool *moved)
{
	if (tls->out.n)
		return true;
	ssize_t n = recv(tls->ours, tls->out.bytes, sizeof tls->out.bytes, MSG_DONTWAIT);
	tls->out.from = 0;
	tls->out.n = moves(n) ? (size_t)n : 0;
	*moved |= moves(n);
	return n > 0 || no_data_now(n);
}

/* A broker that does not like our certificate says so in an alert and then resets the connection, which the next write
 * may find first. */
static void read_to_the_end(struct kb_amqp_tls *tls)
{
	while (moves(kb_tls_read(tls->tls, tls->in.bytes, sizeof tls->in.bytes)))
		;
}

/* True as long as the broker's side has not ended. */
static bool give_tls(struct kb_amqp_tls *tls, bool *moved)
{
	struct flow *f = &tls->out;
	ssize_t n = f->n ? kb_tls_write(tls->tls, f->bytes + f->from, f->n) : 0;
	if (n > 0) {
		f->from += (size_t)n;
		f->n -= (size_t)n;
		*moved = true;
	}
	if (n < 0)
		read_to_the_end(tls);
	return n >= 0;
}

static bool take_tls(struct kb_amqp_tls *tls, bool *moved)
{
	if (tls->in.n)
		return true;
	ssize_t n = kb_tls_read(tls->tls, tls->in.bytes, sizeof tls->in.bytes);
	if (n > 0) {
		tls->in.from = 0;
		tls->in.n = (size_t)n;
		*moved = true;
	}
	return n >= 0;
}

static bool give_plain(struct kb_amqp_tls *tls, bool *moved)
{
	struct flow *f = &tls->in;
	if (!f->n)
		return true;
	ssize_t n = send(tls->ours, f->bytes + f->from, f->n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n <= 0)
		return no_data_now(n);
	f->from += (size_t)n;
	f->n -= (size_t)n;
	*moved = true;
	return true;
}

/* False: the library's end is closed, and of what came from there the broker takes nothing now. */
static bool wait_for_either(const struct kb_amqp_tls *tls)
{
	short tcp = kb_tls_wants(tls->tls);
	short plain = (short)((tls->out.n ? 0 : POLLIN) | (tls->in.n ? POLLOUT : 0));
	/* The end of the other side is always told; that of a TCP socket that we do not want to read would be told in vain.
	 */
	struct pollfd fds[2] = {{tcp ? kb_tls_socket(tls->tls) : -1, tcp, 0}, {tls->ours, plain, 0}};
	poll(fds, 2, -1);
	return fds[0].revents || !(fds[1].revents & POLLHUP) || tls->out.n == 0;
}

static void *pump(void *argument)
{
	struct kb_amqp_tls *tls = argument;
	for (;;) {
		bool moved = false;
		if (!take_plain(tls, &moved))
			break;
		/* Reading goes first: when both fail, what the broker said last is the reason. */
		if (!take_tls(tls, &moved) || !give_tls(tls, &moved)) {
			atomic_store(&tls->ended, true);
			break;
		}
		if (!give_plain(tls, &moved))
			break;
		if (!moved && !wait_for_either(tls))
			break;
	}
	shutdown(tls->ours, SHUT_RDWR);
	return NULL;
}

/* Signals are for the main thread. */
static bool start_thread(struct kb_amqp_tls *tls)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	tls->has_thread = pthread_create(&tls->thread, NULL, pump, tls) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return tls->has_thread;
}

/* -- starting and ending -- */

static bool start(struct kb_amqp_tls *tls, char *error, size_t size)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
		snprintf(error, size, "TLS: cannot create a socket pair: %s", strerror(errno));
		return false;
	}
	tls->plain = pair[0];
	tls->ours = pair[1];
	if (!start_thread(tls))
		snprintf(error, size, "TLS: cannot start its thread");
	return tls->has_thread;
}

struct kb_amqp_tls *kb_amqp_tls_start(
	int tcp, const char *host, const struct kb_tls_options *config, int timeout_ms, char *error, size_t size)
{
	struct kb_amqp_tls *tls = calloc(1, sizeof *tls);
	if (!tls) {
		close(tcp);
		snprintf(error, size, "out of memory");
		return NULL;
	}
	tls->plain = tls->ours = -1;
	tls->tls = kb_tls_start(tcp, host, config, timeout_ms, error, size);
	if (tls->tls && start(tls, error, size))
		return tls;
	if (tls->plain >= 0)
		close(tls->plain);
	kb_amqp_tls_end(tls);
	return NULL;
}

int kb_amqp_tls_plain(const struct kb_amqp_tls *tls)
{
	return tls->plain;
}

int kb_amqp_tls_tcp(const struct kb_amqp_tls *tls)
{
	return kb_tls_socket(tls->tls);
}

const char *kb_amqp_tls_reason(const struct kb_amqp_tls *tls)
{
	return atomic_load(&tls->ended) ? kb_tls_reason(tls->tls) : NULL;
}

void kb_amqp_tls_end(struct kb_amqp_tls *tls)
{
	if (!tls)
		return;
	if (tls->has_thread)
		pthread_join(tls->thread, NULL);
	kb_tls_end(tls->tls);
	if (tls->ours >= 0)
		close(tls->ours);
	free(tls);
}
