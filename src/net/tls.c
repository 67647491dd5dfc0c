#include "net/tls.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/tls_error.h"
#include "net/tls_session.h"
#include "core/buf.h"
#include "core/clock.h"

enum { ERROR_BYTES = 200, GATHER_BYTES = 64 * 1024 };

struct kb_tls {
	struct kb_tls_session session;
	short read_wants, write_wants;
	struct kb_buf out; /* encrypted, and not yet sent */
	size_t taken;      /* bytes of the caller that are in it, and that no call has returned as written; 0: none */
	char error[ERROR_BYTES];
};

/* -- start and end -- */

/* The library writes here once the handshake is over. If the socket takes nothing and the broker then asks for new
 * keys, the library (3.7.9) sends what it has kept twice. So a write of the library never has to wait. */
static ssize_t keep(gnutls_transport_ptr_t transport, const void *bytes, size_t n)
{
	struct kb_tls *tls = transport;
	kb_buf_append(&tls->out, bytes, n);
	if (!tls->out.failed)
		return (ssize_t)n;
	gnutls_transport_set_errno(tls->session.gnutls, ENOMEM);
	return -1;
}

static void send_through_buffer(struct kb_tls *tls)
{
	gnutls_transport_set_ptr2(tls->session.gnutls, (gnutls_transport_ptr_t)(intptr_t)tls->session.tcp, tls);
	gnutls_transport_set_push_function(tls->session.gnutls, keep);
}

/* Closes and frees, without a word to the broker. */
static void drop(struct kb_tls *tls)
{
	kb_tls_session_end(&tls->session);
	close(tls->session.tcp);
	kb_buf_free(&tls->out);
	free(tls);
}

struct kb_tls *kb_tls_start(
	int tcp, const char *host, const struct kb_tls_options *options, int timeout_ms, char *error, size_t size)
{
	int64_t deadline = kb_clock_ms() + timeout_ms;
	struct kb_tls *tls = calloc(1, sizeof *tls);
	if (!tls) {
		close(tcp);
		snprintf(error, size, "out of memory");
		return NULL;
	}
	tls->session.tcp = tcp;
	if (!kb_tls_session_start(&tls->session, host, options, deadline, error, size)) {
		drop(tls);
		return NULL;
	}
	send_through_buffer(tls);
	return tls;
}

/* -- bytes -- */

/* An alert tells more than a failed write does, and is the last to tell anything. */
static void note_end(struct kb_tls *tls, int code)
{
	bool silent = code == GNUTLS_E_PREMATURE_TERMINATION && errno != ECONNRESET; /* as brokers often leave */
	if (!silent && (!tls->error[0] || code == GNUTLS_E_FATAL_ALERT_RECEIVED))
		kb_tls_error_of_connection(
			tls->session.gnutls, code, tls->session.has_certificate, tls->error, sizeof tls->error);
}

/* `code` of a call that moved nothing: 0 when it only has to wait. */
static ssize_t stopped(struct kb_tls *tls, ssize_t code, short *wants)
{
	*wants = kb_tls_session_wants(&tls->session, code);
	if (*wants)
		return 0;
	note_end(tls, (int)code);
	return -1;
}

ssize_t kb_tls_read(struct kb_tls *tls, void *to, size_t size)
{
	errno = 0;
	tls->read_wants = 0;
	ssize_t n = gnutls_record_recv(tls->session.gnutls, to, size);
	if (n == 0)
		return -1; /* the broker has ended the session */
	return n > 0 ? n : stopped(tls, n, &tls->read_wants);
}

/* 1: everything is sent; 0: the socket takes no more now; -1: it has failed. */
static int flush(struct kb_tls *tls)
{
	while (tls->out.n) {
		ssize_t n = send(tls->session.tcp, tls->out.p, tls->out.n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
		kb_buf_consume(&tls->out, (size_t)n);
	}
	return 1;
}

/* Several records for one call of the system. */
static ssize_t encrypt(struct kb_tls *tls, const char *from, size_t size)
{
	size_t done = 0;
	while (done < size && tls->out.n < GATHER_BYTES) {
		ssize_t n = gnutls_record_send(tls->session.gnutls, from + done, size - done);
		if (n < 0)
			return n;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t kb_tls_write(struct kb_tls *tls, const void *from, size_t size)
{
	errno = 0;
	tls->write_wants = 0;
	ssize_t n = tls->taken ? (ssize_t)tls->taken : encrypt(tls, from, size);
	if (n < 0)
		return stopped(tls, n, &tls->write_wants);
	int sent = flush(tls);
	if (sent < 0)
		return stopped(tls, GNUTLS_E_PUSH_ERROR, &tls->write_wants);
	tls->taken = sent ? 0 : (size_t)n;
	tls->write_wants = sent ? 0 : POLLOUT;
	return sent ? n : 0;
}

short kb_tls_wants(const struct kb_tls *tls)
{
	return (short)(tls->read_wants | tls->write_wants);
}

bool kb_tls_pending(const struct kb_tls *tls)
{
	return gnutls_record_check_pending(tls->session.gnutls) > 0;
}

const char *kb_tls_reason(const struct kb_tls *tls)
{
	return tls->error[0] ? tls->error : NULL;
}

int kb_tls_socket(const struct kb_tls *tls)
{
	return tls->session.tcp;
}

void kb_tls_end(struct kb_tls *tls)
{
	if (!tls)
		return;
	gnutls_bye(tls->session.gnutls, GNUTLS_SHUT_WR);
	flush(tls);
	drop(tls);
}
