#include "broker/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "broker/tcp.h"
#include "broker/tls_options.h"

enum { ERROR_BYTES = 200 };

struct kb_tls {
	SSL_CTX *context;
	SSL *ssl;
	int tcp;
	short read_wants, write_wants;
	char error[ERROR_BYTES];
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

/* Without it OpenSSL would ask at the terminal, and the start would wait for ever. */
static int refuse_passphrase(char *passphrase, int size, int writing, void *asked)
{
	(void)passphrase, (void)size, (void)writing;
	*(bool *)asked = true;
	return -1;
}

static bool load_files(SSL_CTX *context, const struct kb_broker_tls *config, char *error, size_t size)
{
	bool asked = false;
	SSL_CTX_set_default_passwd_cb(context, refuse_passphrase);
	SSL_CTX_set_default_passwd_cb_userdata(context, &asked);
	const char *parameter = config->ca_name, *file = config->ca_file;
	bool good =
		file ? SSL_CTX_load_verify_locations(context, file, NULL) == 1 : SSL_CTX_set_default_verify_paths(context) == 1;
	if (good && config->cert_file) {
		parameter = config->cert_name, file = config->cert_file;
		good = SSL_CTX_use_certificate_chain_file(context, file) == 1;
	}
	if (good && config->cert_file) {
		parameter = config->key_name, file = config->key_file ? config->key_file : config->cert_file;
		good = SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM) == 1;
	}
	SSL_CTX_set_default_passwd_cb_userdata(context, NULL); /* all files are read */
	if (good)
		return true;
	char what[ERROR_BYTES];
	snprintf(what, sizeof what, "%s %.120s", parameter ? parameter : "", file ? file : "");
	if (asked)
		ERR_clear_error(); /* they would speak of a bad decrypt */
	describe(error, size, what, asked ? "it has a passphrase: only one without can be used" : "cannot be read");
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

const char *kb_tls_check(const struct kb_broker_tls *config)
{
	static char error[ERROR_BYTES];
	SSL_CTX *context = make_context(config, error, sizeof error);
	SSL_CTX_free(context);
	return context ? NULL : error;
}

/* -- the handshake -- */

static bool expect_host(SSL *ssl, const char *host, const struct kb_broker_tls *config)
{
	X509_VERIFY_PARAM *expected = SSL_get0_param(ssl);
	bool address = kb_tcp_is_ip(host);
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

static bool shake_hands(struct kb_tls *tls, int timeout_ms, char *error, size_t size)
{
	int64_t deadline = kb_tcp_now_ms() + timeout_ms;
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
		int64_t left = deadline - kb_tcp_now_ms();
		if (left <= 0 || poll(&p, 1, (int)left) == 0) {
			snprintf(error, size, "TLS: the broker does not complete the handshake in time");
			return false;
		}
	}
}

/* OpenSSL writes with write(), which would end the process with SIGPIPE when the other side has gone. */
static int write_quietly(BIO *bio, const char *from, int size)
{
	BIO_clear_retry_flags(bio);
	int n = (int)send(BIO_get_fd(bio, NULL), from, (size_t)size, MSG_NOSIGNAL);
	if (n < 0 && BIO_sock_should_retry(n))
		BIO_set_retry_write(bio);
	return n;
}

/* A socket as OpenSSL has it, but for writing; made once in a process. */
static const BIO_METHOD *quiet_socket(void)
{
	static BIO_METHOD *method;
	const BIO_METHOD *plain = BIO_s_socket();
	if (!method && (method = BIO_meth_new(BIO_TYPE_SOCKET, "socket without SIGPIPE"))) {
		BIO_meth_set_write(method, write_quietly);
		BIO_meth_set_read(method, BIO_meth_get_read(plain));
		BIO_meth_set_ctrl(method, BIO_meth_get_ctrl(plain));
		BIO_meth_set_create(method, BIO_meth_get_create(plain));
		BIO_meth_set_destroy(method, BIO_meth_get_destroy(plain));
	}
	return method;
}

static bool set_socket(SSL *ssl, int tcp)
{
	const BIO_METHOD *method = quiet_socket();
	BIO *bio = method ? BIO_new(method) : NULL;
	if (!bio)
		return false;
	BIO_set_fd(bio, tcp, BIO_NOCLOSE);
	SSL_set_bio(ssl, bio, bio);
	return true;
}

static bool start(
	struct kb_tls *tls, const char *host, const struct kb_broker_tls *config, int timeout_ms, char *error, size_t size)
{
	const char *name = config->expected_name ? config->expected_name : host;
	tls->context = make_context(config, error, size);
	if (!tls->context)
		return false;
	snprintf(error, size, "TLS: out of memory");
	tls->ssl = SSL_new(tls->context);
	if (!tls->ssl || !set_socket(tls->ssl, tls->tcp) || !expect_host(tls->ssl, name, config))
		return false;
	return shake_hands(tls, timeout_ms, error, size);
}

struct kb_tls *kb_tls_start(
	int tcp, const char *host, const struct kb_broker_tls *config, int timeout_ms, char *error, size_t size)
{
	struct kb_tls *tls = calloc(1, sizeof *tls);
	if (!tls) {
		close(tcp);
		snprintf(error, size, "out of memory");
		return NULL;
	}
	tls->tcp = tcp;
	if (start(tls, host, config, timeout_ms, error, size))
		return tls;
	SSL_free(tls->ssl);
	tls->ssl = NULL;
	kb_tls_end(tls);
	return NULL;
}

/* -- bytes -- */

/* `result` of a call that moved nothing: 0 when it only has to wait. */
static ssize_t stopped(struct kb_tls *tls, int result, short *wants)
{
	*wants = wanted(tls->ssl, result);
	if (*wants)
		return 0;
	if (!tls->error[0] && (ERR_peek_last_error() || errno))
		describe(tls->error, sizeof tls->error, "", errno ? strerror(errno) : "");
	ERR_clear_error();
	return -1;
}

/* A server that does not like our certificate says so in an alert and then resets the connection, which the next write
 * may find before the alert was read. */
static void look_for_alert(struct kb_tls *tls)
{
	char byte;
	ERR_clear_error();
	if (SSL_peek(tls->ssl, &byte, 1) <= 0 && ERR_peek_last_error())
		describe(tls->error, sizeof tls->error, "", "");
	ERR_clear_error();
}

static int at_most_int(size_t size)
{
	return size > INT32_MAX ? INT32_MAX : (int)size;
}

ssize_t kb_tls_read(struct kb_tls *tls, void *to, size_t size)
{
	ERR_clear_error();
	errno = 0;
	tls->read_wants = 0;
	int n = SSL_read(tls->ssl, to, at_most_int(size));
	return n > 0 ? n : stopped(tls, n, &tls->read_wants);
}

ssize_t kb_tls_write(struct kb_tls *tls, const void *from, size_t size)
{
	ERR_clear_error();
	errno = 0;
	tls->write_wants = 0;
	int n = SSL_write(tls->ssl, from, at_most_int(size));
	if (n > 0)
		return n;
	ssize_t result = stopped(tls, n, &tls->write_wants);
	if (result < 0)
		look_for_alert(tls);
	return result;
}

short kb_tls_wants(const struct kb_tls *tls)
{
	return (short)(tls->read_wants | tls->write_wants);
}

bool kb_tls_pending(const struct kb_tls *tls)
{
	return SSL_pending(tls->ssl) > 0;
}

const char *kb_tls_reason(const struct kb_tls *tls)
{
	return tls->error[0] ? tls->error : NULL;
}

int kb_tls_socket(const struct kb_tls *tls)
{
	return tls->tcp;
}

void kb_tls_end(struct kb_tls *tls)
{
	if (!tls)
		return;
	if (tls->ssl)
		SSL_shutdown(tls->ssl);
	ERR_clear_error();
	SSL_free(tls->ssl);
	SSL_CTX_free(tls->context);
	close(tls->tcp);
	free(tls);
}
