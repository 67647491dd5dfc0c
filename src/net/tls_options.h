/* What a configuration says of TLS, and whether it can be used. No type of GnuTLS is shown here. */
#ifndef KB_NET_TLS_OPTIONS_H
#define KB_NET_TLS_OPTIONS_H

#include <stdbool.h>

/* For addresses with TLS. Zero is the safe choice. The strings belong to the configuration, which outlives this. */
struct kb_tls_options {
	const char *ca_file;       /* authorities in PEM; NULL: those that the system trusts */
	const char *cert_file;     /* our certificate in PEM, by which the broker verifies us; NULL: none */
	const char *key_file;      /* its key in PEM; NULL: in cert_file */
	const char *key_password;  /* of the key; NULL: it has none */
	const char *expected_name; /* the name that the broker's certificate must be for; NULL: the host of the address */
	bool any_peer;             /* the broker's certificate is not verified */
	bool any_name;             /* it is verified, but not the name in it */

	const char *ca_name, *cert_name, *key_name; /* what the configuration calls the files, for error messages */
};

/* NULL when the files can be used, else which one cannot, and why; valid until the next call. */
const char *kb_tls_options_check(const struct kb_tls_options *options);

#endif
