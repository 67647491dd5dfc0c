#include "net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/tcp.h"
#include "net/tls_options.h"
#include "core/buf.h"
#include "core/clock.h"

/* The profile refuses keys below 112 bits of security (RSA: 2048), as Debian's OpenSSL does. */
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%PROFILE_MEDIUM"

enum { ERROR_BYTES = 200, NAME_BYTES = 100, MAX_EXPECTED = 2, GATHER_BYTES = 64 * 1024 };

struct kb_tls {
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t session; /* NULL until there is one */
	int tcp;
	bool has_certificate;
	short read_wants, write_wants;
	/* Whom the certificate must be for; read during the handshake. */
	gnutls_typed_vdata_st expected[MAX_EXPECTED];
	unsigned char address[sizeof(struct in6_addr)];
	struct kb_buf out; /* encrypted, and not yet sent */
	size_t taken;      /* bytes of the caller's that are in it, and that it has not been told of; 0: none */
	char error[ERROR_BYTES];
};

/* -- files -- */

/* `parameter` and `file` are what the line about a failure names. */
struct pem {
	const char *parameter, *file;
	gnutls_datum_t text;
};

static const char *reason_of(int code)
{
	switch (code) {
	case GNUTLS_E_FILE_ERROR: return errno ? strerror(errno) : "it cannot be read";
	case GNUTLS_E_DECRYPTION_FAILED: return "it has a passphrase: only one without can be used";
	case GNUTLS_E_CERTIFICATE_KEY_MISMATCH: return "it is not the key of the certificate";
	case GNUTLS_E_BASE64_UNEXPECTED_HEADER_ERROR:
	case GNUTLS_E_NO_CERTIFICATE_FOUND: return "it holds no certificate in PEM";
	case GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE: return "it holds no private key in PEM";
	default: return gnutls_strerror(code);
	}
}

static bool file_error(const struct pem *pem, int code, char *error, size_t size)
{
	snprintf(error, size, "TLS: %s %.120s: %s", pem->parameter, pem->file, reason_of(code));
	return false;
}

static int read_pem(struct pem *pem)
{
	errno = 0;
	return gnutls_load_file(pem->file, &pem->text);
}

/* It may hold a key. */
static void wipe_pem(struct pem *pem)
{
	if (pem->text.data)
		explicit_bzero(pem->text.data, pem->text.size);
	gnutls_free(pem->text.data);
}

static bool load_authorities(
	gnutls_certificate_credentials_t to, const struct kb_broker_tls *config, char *error, size_t size)
{
	struct pem ca = {.parameter = config->ca_name, .file = config->ca_file};
	if (!ca.file) {
		/* A system that trusts nobody is no error here: any certificate will be of an unknown authority. */
		gnutls_certificate_set_x509_system_trust(to);
		return true;
	}
	errno = 0;
	int n = gnutls_certificate_set_x509_trust_file(to, ca.file, GNUTLS_X509_FMT_PEM);
	return n > 0 || file_error(&ca, n < 0 ? n : GNUTLS_E_NO_CERTIFICATE_FOUND, error, size);
}

static int read_key(struct pem *pem, gnutls_x509_privkey_t key)
{
	int code = read_pem(pem);
	/* Without a passphrase, and nobody is asked for one. */
	return code < 0 ? code : gnutls_x509_privkey_import2(key, &pem->text, GNUTLS_X509_FMT_PEM, NULL, 0);
}

static bool load_key(gnutls_certificate_credentials_t to, const struct kb_broker_tls *config, gnutls_x509_crt_t *chain,
	unsigned n, char *error, size_t size)
{
	struct pem pem = {config->key_name, config->key_file ? config->key_file : config->cert_file, {0}};
	gnutls_x509_privkey_t key = NULL;
	int code = gnutls_x509_privkey_init(&key);
	if (code >= 0)
		code = read_key(&pem, key);
	if (code >= 0)
		code = gnutls_certificate_set_x509_key(to, chain, (int)n, key);
	gnutls_x509_privkey_deinit(key);
	wipe_pem(&pem);
	return code >= 0 || file_error(&pem, code, error, size);
}

static bool load_certificate(
	gnutls_certificate_credentials_t to, const struct kb_broker_tls *config, char *error, size_t size)
{
	struct pem pem = {.parameter = config->cert_name, .file = config->cert_file};
	gnutls_x509_crt_t *chain = NULL;
	unsigned n = 0;
	if (!pem.file)
		return true;
	int code = read_pem(&pem);
	if (code >= 0)
		code = gnutls_x509_crt_list_import2(&chain, &n, &pem.text, GNUTLS_X509_FMT_PEM, 0);
	wipe_pem(&pem);
	bool good = code < 0 ? file_error(&pem, code, error, size) : load_key(to, config, chain, n, error, size);
	for (unsigned i = 0; i < n; i++)
		gnutls_x509_crt_deinit(chain[i]);
	gnutls_free(chain);
	return good;
}

/* NULL, and why in `error`. */
static gnutls_certificate_credentials_t load_files(const struct kb_broker_tls *config, char *error, size_t size)
{
	gnutls_certificate_credentials_t credentials;
	if (gnutls_certificate_allocate_credentials(&credentials) < 0) {
		snprintf(error, size, "TLS: out of memory");
		return NULL;
	}
	if (load_authorities(credentials, config, error, size) && load_certificate(credentials, config, error, size))
		return credentials;
	gnutls_certificate_free_credentials(credentials);
	return NULL;
}

const char *kb_tls_check(const struct kb_broker_tls *config)
{
	static char error[ERROR_BYTES];
	gnutls_certificate_credentials_t credentials = load_files(config, error, sizeof error);
	if (!credentials)
		return error;
	gnutls_certificate_free_credentials(credentials);
	return NULL;
}

/* -- reasons -- */

/* The issuer of the last certificate that the broker has sent: the authority that we would have to know. */
static void name_authority(gnutls_session_t session, char *to, size_t size)
{
	unsigned n = 0;
	const gnutls_datum_t *peers = gnutls_certificate_get_peers(session, &n);
	gnutls_x509_crt_t last = NULL;
	char name[NAME_BYTES] = "";
	bool self_signed = false;
	if (n && gnutls_x509_crt_init(&last) >= 0 &&
		gnutls_x509_crt_import(last, &peers[n - 1], GNUTLS_X509_FMT_DER) >= 0) {
		gnutls_x509_crt_get_issuer_dn(last, name, &(size_t){sizeof name});
		self_signed = n == 1 && gnutls_x509_crt_check_issuer(last, last);
	}
	gnutls_x509_crt_deinit(last);
	snprintf(to, size, "%s %s", self_signed ? "self-signed certificate of" : "unknown authority", name);
}

static const struct {
	unsigned status;
	const char *reason;
} refusals[] = {
	{GNUTLS_CERT_REVOKED, "certificate is revoked"},
	{GNUTLS_CERT_SIGNER_NOT_CA, "its issuer is no authority"},
	{GNUTLS_CERT_INSECURE_ALGORITHM, "its key or its signature is too weak"},
	{GNUTLS_CERT_EXPIRED, "certificate has expired"},
	{GNUTLS_CERT_NOT_ACTIVATED, "certificate is not yet valid"},
	{GNUTLS_CERT_PURPOSE_MISMATCH, "it is not one for servers"},
	{GNUTLS_CERT_SIGNATURE_FAILURE, "its signature is wrong"},
	{GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE, "its authority may not issue it"},
};

static void describe_refusal(gnutls_session_t session, const char *host, char *error, size_t size)
{
	unsigned status = gnutls_session_get_verify_cert_status(session);
	char why[NAME_BYTES + 50] = "it cannot be verified";
	if (status & GNUTLS_CERT_SIGNER_NOT_FOUND)
		name_authority(session, why, sizeof why);
	else if (status & GNUTLS_CERT_UNEXPECTED_OWNER)
		snprintf(why, sizeof why, "hostname mismatch, it is not for %.100s", host);
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
		if (status & refusals[i].status) {
			snprintf(why, sizeof why, "%s", refusals[i].reason);
			break;
		}
	snprintf(error, size, "TLS: the broker's certificate is refused: %s", why);
}

static bool is_of_socket(int code)
{
	return code == GNUTLS_E_PULL_ERROR || code == GNUTLS_E_PUSH_ERROR || code == GNUTLS_E_PREMATURE_TERMINATION;
}

/* An alert about a certificate is about ours. */
static const char *meaning_of(gnutls_alert_description_t alert, bool has_certificate)
{
	switch (alert) {
	case GNUTLS_A_BAD_CERTIFICATE:
	case GNUTLS_A_UNSUPPORTED_CERTIFICATE:
	case GNUTLS_A_CERTIFICATE_REVOKED:
	case GNUTLS_A_CERTIFICATE_EXPIRED:
	case GNUTLS_A_CERTIFICATE_UNKNOWN:
	case GNUTLS_A_CERTIFICATE_REQUIRED:
	case GNUTLS_A_UNKNOWN_CA:
		return has_certificate ? "the broker refuses our certificate: " : "the broker asks for a certificate: ";
	default: return "the broker's alert: ";
	}
}

/* The reason for the end of a connection or of a handshake. */
static void describe(const struct kb_tls *tls, int code, const char *what, char *error, size_t size)
{
	const char *meaning = "", *reason = gnutls_strerror(code);
	if (code == GNUTLS_E_FATAL_ALERT_RECEIVED) {
		gnutls_alert_description_t alert = gnutls_alert_get(tls->session);
		meaning = meaning_of(alert, tls->has_certificate);
		reason = gnutls_alert_get_name(alert);
	} else if (is_of_socket(code) && errno) {
		reason = strerror(errno);
	}
	snprintf(error, size, "TLS: %s%s%s", what, meaning, reason ? reason : "unknown");
}

static void describe_handshake(struct kb_tls *tls, int code, const char *host, char *error, size_t size)
{
	static const char what[] = "handshake failed: ";
	switch (code) {
	case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR: describe_refusal(tls->session, host, error, size); break;
	case GNUTLS_E_UNEXPECTED_PACKET: snprintf(error, size, "TLS: %sthe broker does not answer with TLS", what); break;
	default:
		if (code == GNUTLS_E_PREMATURE_TERMINATION && !errno)
			snprintf(error, size, "TLS: %sthe broker closed the connection", what);
		else
			describe(tls, code, what, error, size);
	}
}

/* -- the handshake -- */

static void expect(struct kb_tls *tls, gnutls_vdata_types_t type, const void *what, size_t size)
{
	gnutls_typed_vdata_st *free_one = tls->expected;
	while (free_one->data)
		free_one++;
	*free_one = (gnutls_typed_vdata_st){type, (void *)what, (unsigned)size};
}

static void expect_host(struct kb_tls *tls, const char *host)
{
	if (inet_pton(AF_INET, host, tls->address) == 1)
		expect(tls, GNUTLS_DT_IP_ADDRESS, tls->address, sizeof(struct in_addr));
	else if (inet_pton(AF_INET6, host, tls->address) == 1)
		expect(tls, GNUTLS_DT_IP_ADDRESS, tls->address, sizeof(struct in6_addr));
	else
		expect(tls, GNUTLS_DT_DNS_HOSTNAME, host, strlen(host));
}

static bool make_session(struct kb_tls *tls, const char *host, const struct kb_broker_tls *config)
{
	/* Without NO_SIGNAL a write to a broker that has gone would end the process. FORCE_CLIENT_CERT: whether it is of an
	 * authority that the broker knows is for the broker to say. */
	const unsigned flags = GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_FORCE_CLIENT_CERT;
	if (gnutls_init(&tls->session, flags) < 0)
		return false;
	gnutls_transport_set_int(tls->session, tls->tcp);
	if (gnutls_priority_set_direct(tls->session, PRIORITIES, NULL) < 0 ||
		gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->credentials) < 0)
		return false;
	if (!kb_tcp_is_ip(host) && gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, host, strlen(host)) < 0)
		return false;
	if (config->any_peer)
		return true;
	expect(tls, GNUTLS_DT_KEY_PURPOSE_OID, GNUTLS_KP_TLS_WWW_SERVER, 0);
	if (!config->any_name)
		expect_host(tls, host);
	gnutls_session_set_verify_cert2(tls->session, tls->expected, config->any_name ? 1 : 2, 0);
	return true;
}

/* What a call of the library that could not go on waits for at the socket; 0: it has failed. */
static short wanted(gnutls_session_t session, ssize_t code)
{
	if (gnutls_error_is_fatal((int)code))
		return 0;
	return gnutls_record_get_direction(session) ? POLLOUT : POLLIN;
}

static bool shake_hands(struct kb_tls *tls, const char *host, int64_t deadline, char *error, size_t size)
{
	for (;;) {
		errno = 0;
		int code = gnutls_handshake(tls->session);
		if (code == GNUTLS_E_SUCCESS)
			return true;
		struct pollfd p = {tls->tcp, wanted(tls->session, code), 0};
		if (!p.events) {
			describe_handshake(tls, code, host, error, size);
			gnutls_alert_send_appropriate(tls->session, code);
			return false;
		}
		int64_t left = deadline - kb_now_ms();
		if (left <= 0 || poll(&p, 1, (int)left) == 0) {
			snprintf(error, size, "TLS: the broker does not complete the handshake in time");
			return false;
		}
	}
}

/* What the library writes to once the handshake is over. When a socket took nothing and the broker then asked for new
 * keys, it would send what it has kept twice (3.7.9), so nothing that it writes ever has to wait. */
static ssize_t keep(gnutls_transport_ptr_t transport, const void *bytes, size_t n)
{
	struct kb_tls *tls = transport;
	kb_buf_append(&tls->out, bytes, n);
	if (!tls->out.failed)
		return (ssize_t)n;
	gnutls_transport_set_errno(tls->session, ENOMEM);
	return -1;
}

static void send_through_buffer(struct kb_tls *tls)
{
	gnutls_transport_set_ptr2(tls->session, (gnutls_transport_ptr_t)(intptr_t)tls->tcp, tls);
	gnutls_transport_set_push_function(tls->session, keep);
}

static bool start(
	struct kb_tls *tls, const char *host, const struct kb_broker_tls *config, int timeout_ms, char *error, size_t size)
{
	int64_t deadline = kb_now_ms() + timeout_ms;
	const char *name = config->expected_name ? config->expected_name : host;
	tls->has_certificate = config->cert_file != NULL;
	tls->credentials = load_files(config, error, size);
	if (!tls->credentials)
		return false;
	snprintf(error, size, "TLS: out of memory");
	return make_session(tls, name, config) && shake_hands(tls, name, deadline, error, size);
}

/* Closes and frees, without a word to the broker. */
static void drop(struct kb_tls *tls)
{
	if (tls->session)
		gnutls_deinit(tls->session);
	if (tls->credentials)
		gnutls_certificate_free_credentials(tls->credentials);
	close(tls->tcp);
	kb_buf_free(&tls->out);
	free(tls);
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
	if (!start(tls, host, config, timeout_ms, error, size)) {
		drop(tls);
		return NULL;
	}
	send_through_buffer(tls);
	return tls;
}

/* -- bytes -- */

/* An alert tells more than that a write has failed, and nothing after it tells more. */
static void note_end(struct kb_tls *tls, int code)
{
	bool silent = code == GNUTLS_E_PREMATURE_TERMINATION && errno != ECONNRESET; /* as brokers often leave */
	if (!silent && (!tls->error[0] || code == GNUTLS_E_FATAL_ALERT_RECEIVED))
		describe(tls, code, "", tls->error, sizeof tls->error);
}

/* `code` of a call that moved nothing: 0 when it only has to wait. */
static ssize_t stopped(struct kb_tls *tls, ssize_t code, short *wants)
{
	*wants = wanted(tls->session, code);
	if (*wants)
		return 0;
	note_end(tls, (int)code);
	return -1;
}

ssize_t kb_tls_read(struct kb_tls *tls, void *to, size_t size)
{
	errno = 0;
	tls->read_wants = 0;
	ssize_t n = gnutls_record_recv(tls->session, to, size);
	if (n == 0)
		return -1; /* it said good-bye */
	return n > 0 ? n : stopped(tls, n, &tls->read_wants);
}

/* 1: all is sent; 0: the socket takes no more now; -1: it has failed. */
static int flush(struct kb_tls *tls)
{
	while (tls->out.n) {
		ssize_t n = send(tls->tcp, tls->out.p, tls->out.n, MSG_DONTWAIT | MSG_NOSIGNAL);
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
		ssize_t n = gnutls_record_send(tls->session, from + done, size - done);
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
	return gnutls_record_check_pending(tls->session) > 0;
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
	gnutls_bye(tls->session, GNUTLS_SHUT_WR);
	flush(tls);
	drop(tls);
}
