/* What a configuration says of TLS, and whether it can be used, without a type of GnuTLS. */
#ifndef KB_NET_TLS_OPTIONS_H
#define KB_NET_TLS_OPTIONS_H

#include <stdbool.h>

/* For addresses with TLS: zero is the safe choice. Strings as those of the configuration. */
struct kb_broker_tls {
	const char *ca_file;              /* NULL: what the system trusts */
	const char *cert_file, *key_file; /* for the broker to verify us; NULL: none, and the key in the file of the cert */
	const char *expected_name;        /* that the certificate must be for; NULL: the host of the address */
	bool any_peer, any_name;          /* do not verify the broker's certificate, the host name in it */
	bool always;                      /* also with addresses that do not ask for it; known to NATS alone */

	const char *ca_name, *cert_name, *key_name; /* what the configuration calls the files, for error messages */
};

/* NULL, or which file cannot be used, and why; valid until the next call. */
const char *kb_tls_check(const struct kb_broker_tls *config);

#endif
