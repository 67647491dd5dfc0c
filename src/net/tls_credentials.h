/* The certificates and the key that the files of a configuration hold. Inside of the folder: it shows types of GnuTLS.
 */
#ifndef KB_NET_TLS_CREDENTIALS_H
#define KB_NET_TLS_CREDENTIALS_H

#include <gnutls/gnutls.h>
#include <stddef.h>
#include "net/tls_options.h"

/* Reads the files. Freed by the caller with gnutls_certificate_free_credentials(). NULL: one of them cannot be used,
 * and `error` says which, by the name that the configuration has for it, and why. What was read of a key is wiped. */
gnutls_certificate_credentials_t kb_tls_credentials_load(
	const struct kb_tls_options *options, char *error, size_t size);

#endif
