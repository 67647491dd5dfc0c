#include "net/tls_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include "net/tcp.h"
#include "net/tls_credentials.h"
#include "net/tls_error.h"
#include "core/clock.h"

/* The profile refuses keys below 112 bits of security (RSA: 2048), as Debian's OpenSSL does. */
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%PROFILE_MEDIUM"

/* -- whom the certificate must be for -- */

static void expect(struct kb_tls_session *s, gnutls_vdata_types_t type, const void *what, size_t size)
{
	gnutls_typed_vdata_st *free_one = s->expected;
	while (free_one->data)
		free_one++;
	*free_one = (gnutls_typed_vdata_st){type, (void *)what, (unsigned)size};
}

static void expect_host(struct kb_tls_session *s, const char *host)
{
	if (inet_pton(AF_INET, host, s->address) == 1)
		expect(s, GNUTLS_DT_IP_ADDRESS, s->address, sizeof(struct in_addr));
	else if (inet_pton(AF_INET6, host, s->address) == 1)
		expect(s, GNUTLS_DT_IP_ADDRESS, s->address, sizeof(struct in6_addr));
	else
		expect(s, GNUTLS_DT_DNS_HOSTNAME, host, strlen(host));
}

static void verify(struct kb_tls_session *s, const char *host, const struct kb_tls_options *options)
{
	if (options->any_peer)
		return;
	expect(s, GNUTLS_DT_KEY_PURPOSE_OID, GNUTLS_KP_TLS_WWW_SERVER, 0);
	if (!options->any_name)
		expect_host(s, host);
	gnutls_session_set_verify_cert2(s->gnutls, s->expected, options->any_name ? 1 : 2, 0);
}

/* -- the handshake -- */

static bool make_session(struct kb_tls_session *s, const char *host)
{
	/* Without NO_SIGNAL a write to a broker that has gone would end the process. FORCE_CLIENT_CERT: whether it is of an
	 * authority that the broker knows is for the broker to say. */
	const unsigned flags = GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_FORCE_CLIENT_CERT;
	if (gnutls_init(&s->gnutls, flags) < 0)
		return false;
	gnutls_transport_set_int(s->gnutls, s->tcp);
	return gnutls_priority_set_direct(s->gnutls, PRIORITIES, NULL) >= 0 &&
		   gnutls_credentials_set(s->gnutls, GNUTLS_CRD_CERTIFICATE, s->credentials) >= 0 &&
		   (kb_tcp_is_ip(host) || gnutls_server_name_set(s->gnutls, GNUTLS_NAME_DNS, host, strlen(host)) >= 0);
}

static bool shake_hands(struct kb_tls_session *s, const char *host, int64_t deadline, char *error, size_t size)
{
	for (;;) {
		errno = 0;
		int code = gnutls_handshake(s->gnutls);
		if (code == GNUTLS_E_SUCCESS)
			return true;
		struct pollfd p = {s->tcp, kb_tls_session_wants(s, code), 0};
		if (!p.events) {
			kb_tls_error_of_handshake(s->gnutls, code, host, s->has_certificate, error, size);
			gnutls_alert_send_appropriate(s->gnutls, code);
			return false;
		}
		int64_t left = deadline - kb_clock_ms();
		if (left <= 0 || poll(&p, 1, (int)left) == 0) {
			snprintf(error, size, "TLS: handshake timed out");
			return false;
		}
	}
}

bool kb_tls_session_start(struct kb_tls_session *s, const char *host, const struct kb_tls_options *options,
	int64_t deadline, char *error, size_t size)
{
	const char *name = options->expected_name ? options->expected_name : host;
	s->has_certificate = options->cert_file != NULL;
	s->credentials = kb_tls_credentials_load(options, error, size);
	if (!s->credentials)
		return false;
	snprintf(error, size, "TLS: out of memory");
	if (!make_session(s, name))
		return false;
	verify(s, name, options);
	return shake_hands(s, name, deadline, error, size);
}

short kb_tls_session_wants(const struct kb_tls_session *s, ssize_t code)
{
	if (gnutls_error_is_fatal((int)code))
		return 0;
	return gnutls_record_get_direction(s->gnutls) ? POLLOUT : POLLIN;
}

void kb_tls_session_end(struct kb_tls_session *s)
{
	if (s->gnutls)
		gnutls_deinit(s->gnutls);
	if (s->credentials)
		gnutls_certificate_free_credentials(s->credentials);
}
