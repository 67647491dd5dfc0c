/* A session of GnuTLS from its credentials to the end of the handshake. Inside of the folder: it shows types of GnuTLS.
 */
#ifndef KB_NET_TLS_SESSION_H
#define KB_NET_TLS_SESSION_H

#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>
#include "net/tls_options.h"

enum { KB_TLS_SESSION_EXPECTED = 2 };

/* Zero-initialise but for the socket, which it neither owns nor closes. It must not be moved: the library points into
 * it during the handshake. */
struct kb_tls_session {
	int tcp;
	bool has_certificate; /* that we show to the broker */
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t gnutls; /* NULL until there is one */
	/* Whom the certificate must be for. */
	gnutls_typed_vdata_st expected[KB_TLS_SESSION_EXPECTED];
	unsigned char address[sizeof(struct in6_addr)];
};

/* Shakes hands until `deadline` (ms of kb_clock_ms()); arguments as those of kb_tls_start(). False, and why in `error`;
 * kb_tls_session_end() follows in any case. */
bool kb_tls_session_start(struct kb_tls_session *s, const char *host, const struct kb_tls_options *options,
	int64_t deadline, char *error, size_t size);

/* What a call of the library that returned `code` instead of going on waits for at the socket: POLLIN or POLLOUT.
 * 0: it has failed. */
short kb_tls_session_wants(const struct kb_tls_session *s, ssize_t code);

/* Frees the session and its credentials, without a word to the broker. */
void kb_tls_session_end(struct kb_tls_session *s);

#endif
