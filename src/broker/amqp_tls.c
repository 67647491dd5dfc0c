#include "broker/amqp_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "broker/amqp_options.h"

enum { PUMP_BYTES = 64 * 1024, ERROR_BYTES = 200 };

/* Bytes on their way through the pump in one direction. */
struct flow {
	size_t from, n;
	char bytes[PUMP_BYTES];
};

struct kb_amqp_tls {
	SSL_CTX *context;
	SSL *ssl;
	int tcp, plain, ours; /* plain: the library's end of the pair, closed by it */
	pthread_t thread;
	bool has_thread;
	char error[ERROR_BYTES];       /* written by the thread before `ended` */
	_Atomic bool ended;            /* by the broker's side */
	short read_wants, write_wants; /* what TLS waits for at the TCP socket before it can go on reading, writing */
	struct flow out, in;
};

/* -- reasons -- */

/* What OpenSSL says of the last failure in this thread; empties its queue. */
static void describe(char *error, size_t size, const char *what, const char *otherwise)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	snprintf(error, size, "TLS: %s%s%s", what, *what ? ": " : "", reason ? reason : otherwise);
	ERR_clear_error();
}

/* Certificates have reasons of their own, which are clearer than "certificate verify failed". */
static void describe_handshake(SSL *ssl, char *error, size_t size)
{
	long verified = SSL_get_verify_result(ssl);
	if (verified != X509_V_OK && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE)
		snprintf(error, size, "TLS: the broker's certificate is refused: %s", X509_verify_cert_error_string(verified));
	else
		describe(error, size, "handshake failed", errno ? strerror(errno) : "the broker closed the connection");
	ERR_clear_error();
}

/* -- the configuration -- */

static bool load_files(SSL_CTX *context, const struct kb_broker_tls *config, char *error, size_t size)
{
	const char *parameter = "amqps_ca_cert", *file = config->ca_file;
	bool good =
		file ? SSL_CTX_load_verify_locations(context, file, NULL) == 1 : SSL_CTX_set_default_verify_paths(context) == 1;
	if (good && config->cert_file) {
		parameter = "amqps_cert", file = config->cert_file;
		good = SSL_CTX_use_certificate_chain_file(context, file) == 1;
	}
	if (good && config->cert_file) {
		parameter = "amqps_key", file = config->key_file ? config->key_file : config->cert_file;
		good = SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM) == 1;
	}
	if (good)
		return true;
	char what[ERROR_BYTES];
	snprintf(what, sizeof what, "%s %.120s", parameter, file ? file : "");
	describe(error, size, what, "cannot be read");
	return false;
}

static SSL_CTX *make_context(const struct kb_broker_tls *config, char *error, size_t size)
{
	ERR_clear_error();
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	if (!context) {
		describe(error, size, "", "out of memory");
		return NULL;
	}
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF); /* brokers often leave without a word */
	SSL_CTX_set_verify(context, config->any_peer ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	if (load_files(context, config, error, size))
		return context;
	SSL_CTX_free(context);
	return NULL;
}

const char *kb_amqp_tls_check(const struct kb_broker_tls *config)
{
	static char error[ERROR_BYTES];
	SSL_CTX *context = make_context(config, error, sizeof error);
	SSL_CTX_free(context);
	return context ? NULL : error;
}

/* -- the handshake -- */

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is_address(const char *host)
{
	struct in6_addr any;
	return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static bool expect_host(SSL *ssl, const char *host, const struct kb_broker_tls *config)
{
	X509_VERIFY_PARAM *expected = SSL_get0_param(ssl);
	bool address = is_address(host);
	if (!address && SSL_set_tlsext_host_name(ssl, host) != 1)
		return false;
	if (config->any_name)
		return true;
	X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return (address ? X509_VERIFY_PARAM_set1_ip_asc(expected, host) : X509_VERIFY_PARAM_set1_host(expected, host, 0)) ==
		   1;
}

/* What a call of OpenSSL that did not succeed waits for at the socket; 0: it has failed. */
static short wanted(SSL *ssl, int result)
{
	switch (SSL_get_error(ssl, result)) {
	case SSL_ERROR_WANT_READ: return POLLIN;
	case SSL_ERROR_WANT_WRITE: return POLLOUT;
	default: return 0;
	}
}

static bool shake_hands(struct kb_amqp_tls *tls, int timeout_ms, char *error, size_t size)
{
	int64_t deadline = now_ms() + timeout_ms;
	for (;;) {
		ERR_clear_error();
		errno = 0;
		int result = SSL_connect(tls->ssl);
		if (result == 1)
			return true;
		struct pollfd p = {tls->tcp, wanted(tls->ssl, result), 0};
		if (!p.events) {
			describe_handshake(tls->ssl, error, size);
			return false;
		}
		int64_t left = deadline - now_ms();
		if (left <= 0 || poll(&p, 1, (int)left) == 0) {
			snprintf(error, size, "TLS: the broker does not complete the handshake in time");
			return false;
		}
	}
}

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

static bool give_tls(struct kb_amqp_tls *tls, bool *moved)
{
	struct flow *f = &tls->out;
	tls->write_wants = 0;
	if (!f->n)
		return true;
	ERR_clear_error();
	errno = 0;
	int n = SSL_write(tls->ssl, f->bytes + f->from, (int)f->n);
	if (n <= 0)
		return (tls->write_wants = wanted(tls->ssl, n)) != 0;
	f->from += (size_t)n;
	f->n -= (size_t)n;
	*moved = true;
	return true;
}

static bool take_tls(struct kb_amqp_tls *tls, bool *moved)
{
	tls->read_wants = 0;
	if (tls->in.n)
		return true;
	ERR_clear_error();
	errno = 0;
	int n = SSL_read(tls->ssl, tls->in.bytes, sizeof tls->in.bytes);
	if (n <= 0)
		return (tls->read_wants = wanted(tls->ssl, n)) != 0;
	tls->in.from = 0;
	tls->in.n = (size_t)n;
	*moved = true;
	return true;
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

static void wait_for_either(const struct kb_amqp_tls *tls)
{
	short tcp = (short)(tls->write_wants | tls->read_wants);
	short plain = (short)((tls->out.n ? 0 : POLLIN) | (tls->in.n ? POLLOUT : 0));
	/* The end of the other side is always told; that of a TCP socket that we do not want to read would be told in vain.
	 */
	struct pollfd fds[2] = {{tcp ? tls->tcp : -1, tcp, 0}, {tls->ours, plain, 0}};
	poll(fds, 2, -1);
}

static void broker_ended(struct kb_amqp_tls *tls)
{
	if (ERR_peek_last_error() || errno)
		describe(tls->error, sizeof tls->error, "", errno ? strerror(errno) : "");
	atomic_store(&tls->ended, true);
}

static void *pump(void *argument)
{
	struct kb_amqp_tls *tls = argument;
	for (;;) {
		bool moved = false;
		if (!take_plain(tls, &moved)) {
			SSL_shutdown(tls->ssl); /* a courtesy: it takes what the socket takes now */
			break;
		}
		/* Reading goes first: when both fail, what the broker said last is the reason. */
		if (!take_tls(tls, &moved) || !give_tls(tls, &moved)) {
			broker_ended(tls);
			break;
		}
		if (!give_plain(tls, &moved))
			break;
		if (!moved)
			wait_for_either(tls);
	}
	ERR_clear_error();
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

static bool start(struct kb_amqp_tls *tls, const char *host, const struct kb_broker_tls *config, int timeout_ms,
	char *error, size_t size)
{
	int pair[2];
	tls->context = make_context(config, error, size);
	if (!tls->context)
		return false;
	snprintf(error, size, "TLS: out of memory or descriptors");
	tls->ssl = SSL_new(tls->context);
	if (!tls->ssl || SSL_set_fd(tls->ssl, tls->tcp) != 1 || !expect_host(tls->ssl, host, config))
		return false;
	if (!shake_hands(tls, timeout_ms, error, size))
		return false;
	snprintf(error, size, "TLS: out of memory or descriptors");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	tls->plain = pair[0];
	tls->ours = pair[1];
	return start_thread(tls);
}

struct kb_amqp_tls *kb_amqp_tls_start(
	int tcp, const char *host, const struct kb_broker_tls *config, int timeout_ms, char *error, size_t size)
{
	struct kb_amqp_tls *tls = calloc(1, sizeof *tls);
	if (!tls) {
		close(tcp);
		snprintf(error, size, "out of memory");
		return NULL;
	}
	tls->tcp = tcp;
	tls->plain = tls->ours = -1;
	if (start(tls, host, config, timeout_ms, error, size))
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
	return tls->tcp;
}

const char *kb_amqp_tls_reason(const struct kb_amqp_tls *tls)
{
	return atomic_load(&tls->ended) && tls->error[0] ? tls->error : NULL;
}

void kb_amqp_tls_end(struct kb_amqp_tls *tls)
{
	if (!tls)
		return;
	if (tls->has_thread)
		pthread_join(tls->thread, NULL);
	SSL_free(tls->ssl);
	SSL_CTX_free(tls->context);
	if (tls->ours >= 0)
		close(tls->ours);
	close(tls->tcp);
	free(tls);
}
