#include "net/tls_error.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 100 };

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
	{GNUTLS_CERT_SIGNER_NOT_CA, "issuer is not a certificate authority"},
	{GNUTLS_CERT_INSECURE_ALGORITHM, "insecure algorithm"},
	{GNUTLS_CERT_EXPIRED, "certificate has expired"},
	{GNUTLS_CERT_NOT_ACTIVATED, "certificate is not yet valid"},
	{GNUTLS_CERT_PURPOSE_MISMATCH, "not a server certificate"},
	{GNUTLS_CERT_SIGNATURE_FAILURE, "invalid signature"},
	{GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE, "its authority is not allowed to issue it"},
};

static void describe_refusal(gnutls_session_t session, const char *host, char *error, size_t size)
{
	unsigned status = gnutls_session_get_verify_cert_status(session);
	char why[NAME_BYTES + 50] = "cannot be verified";
	if (status & GNUTLS_CERT_SIGNER_NOT_FOUND)
		name_authority(session, why, sizeof why);
	else if (status & GNUTLS_CERT_UNEXPECTED_OWNER)
		snprintf(why, sizeof why, "hostname mismatch, not issued for %.100s", host);
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
		if (status & refusals[i].status) {
			snprintf(why, sizeof why, "%s", refusals[i].reason);
			break;
		}
	snprintf(error, size, "TLS: broker certificate rejected: %s", why);
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
		return has_certificate ? "the broker rejects our certificate: " : "the broker requires a certificate: ";
	default: return "alert from the broker: ";
	}
}

static void describe(
	gnutls_session_t session, int code, const char *what, bool has_certificate, char *error, size_t size)
{
	const char *meaning = "", *reason = gnutls_strerror(code);
	if (code == GNUTLS_E_FATAL_ALERT_RECEIVED) {
		gnutls_alert_description_t alert = gnutls_alert_get(session);
		meaning = meaning_of(alert, has_certificate);
		reason = gnutls_alert_get_name(alert);
	} else if (is_of_socket(code) && errno) {
		reason = strerror(errno);
	}
	snprintf(error, size, "TLS: %s%s%s", what, meaning, reason ? reason : "unknown");
}

void kb_tls_error_of_connection(gnutls_session_t session, int code, bool has_certificate, char *error, size_t size)
{
	describe(session, code, "", has_certificate, error, size);
}

void kb_tls_error_of_handshake(
	gnutls_session_t session, int code, const char *host, bool has_certificate, char *error, size_t size)
{
	static const char what[] = "handshake failed: ";
	switch (code) {
	case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR: describe_refusal(session, host, error, size); break;
	case GNUTLS_E_UNEXPECTED_PACKET: snprintf(error, size, "TLS: %sthe broker does not speak TLS", what); break;
	default:
		if (code == GNUTLS_E_PREMATURE_TERMINATION && !errno)
			snprintf(error, size, "TLS: %sthe broker closed the connection", what);
		else
			describe(session, code, what, has_certificate, error, size);
	}
}
