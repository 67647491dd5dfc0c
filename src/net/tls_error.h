/* Why a handshake or a connection has ended, in words for an operator. Inside of the folder: it shows types of GnuTLS.
 *
 * `code` is what the library returned, with errno as it left it. has_certificate: we have shown one, so an alert about
 * a certificate is about ours. */
#ifndef KB_NET_TLS_ERROR_H
#define KB_NET_TLS_ERROR_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>

void kb_tls_error_of_connection(gnutls_session_t session, int code, bool has_certificate, char *error, size_t size);

/* host: the name that the certificate must be for. */
void kb_tls_error_of_handshake(
	gnutls_session_t session, int code, const char *host, bool has_certificate, char *error, size_t size);

#endif
