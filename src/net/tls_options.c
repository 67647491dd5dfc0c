#include "net/tls_options.h"

#include "net/tls_credentials.h"

enum { ERROR_BYTES = 200 };

const char *kb_tls_options_check(const struct kb_tls_options *options)
{
	static char error[ERROR_BYTES];
	gnutls_certificate_credentials_t credentials = kb_tls_credentials_load(options, error, sizeof error);
	if (!credentials)
		return error;
	gnutls_certificate_free_credentials(credentials);
	return NULL;
}
