#include "net/tls_credentials.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

/* The error message about a failure names `parameter` and `file`. */
struct pem {
	const char *parameter, *file;
	const char *password; /* of a key; NULL: none is given */
	gnutls_datum_t text;
};

static const char *reason_of(const struct pem *pem, int code)
{
	switch (code) {
	case GNUTLS_E_FILE_ERROR: return errno ? strerror(errno) : "cannot be read";
	case GNUTLS_E_DECRYPTION_FAILED:
		return pem->password ? "wrong passphrase" : "private keys with a passphrase are not supported";
	case GNUTLS_E_CERTIFICATE_KEY_MISMATCH: return "does not match the certificate";
	case GNUTLS_E_BASE64_UNEXPECTED_HEADER_ERROR:
	case GNUTLS_E_NO_CERTIFICATE_FOUND: return "no PEM certificate found";
	case GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE: return "no PEM private key found";
	default: return gnutls_strerror(code);
	}
}

static bool file_error(const struct pem *pem, int code, char *error, size_t size)
{
	snprintf(error, size, "TLS: %s %.120s: %s", pem->parameter, pem->file, reason_of(pem, code));
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
	gnutls_certificate_credentials_t to, const struct kb_tls_options *options, char *error, size_t size)
{
	struct pem ca = {.parameter = options->ca_name, .file = options->ca_file};
	if (!ca.file) {
		/* A system without authorities is not an error here: every certificate will have an unknown authority. */
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
	/* Without one, the library is not to prompt for a passphrase. */
	return code < 0 ? code : gnutls_x509_privkey_import2(key, &pem->text, GNUTLS_X509_FMT_PEM, pem->password, 0);
}

static bool load_key(gnutls_certificate_credentials_t to, const struct kb_tls_options *options,
	gnutls_x509_crt_t *chain, unsigned n, char *error, size_t size)
{
	struct pem pem = {.parameter = options->key_name,
		.file = options->key_file ? options->key_file : options->cert_file,
		.password = options->key_password};
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
	gnutls_certificate_credentials_t to, const struct kb_tls_options *options, char *error, size_t size)
{
	struct pem pem = {.parameter = options->cert_name, .file = options->cert_file};
	gnutls_x509_crt_t *chain = NULL;
	unsigned n = 0;
	if (!pem.file)
		return true;
	int code = read_pem(&pem);
	if (code >= 0)
		code = gnutls_x509_crt_list_import2(&chain, &n, &pem.text, GNUTLS_X509_FMT_PEM, 0);
	wipe_pem(&pem);
	bool good = code < 0 ? file_error(&pem, code, error, size) : load_key(to, options, chain, n, error, size);
	for (unsigned i = 0; i < n; i++)
		gnutls_x509_crt_deinit(chain[i]);
	gnutls_free(chain);
	return good;
}

gnutls_certificate_credentials_t kb_tls_credentials_load(const struct kb_tls_options *options, char *error, size_t size)
{
	gnutls_certificate_credentials_t credentials;
	if (gnutls_certificate_allocate_credentials(&credentials) < 0) {
		snprintf(error, size, "TLS: out of memory");
		return NULL;
	}
	if (load_authorities(credentials, options, error, size) && load_certificate(credentials, options, error, size))
		return credentials;
	gnutls_certificate_free_credentials(credentials);
	return NULL;
}
