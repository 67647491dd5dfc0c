/* A certificate for a server of a test, made as it is needed. */
#ifndef KB_SPEC_UNIT_CERTIFICATE_H
#define KB_SPEC_UNIT_CERTIFICATE_H

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <time.h>

#include "check.h"

static void make_certificate(gnutls_certificate_credentials_t to)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t certificate;
	gnutls_x509_privkey_init(&key);
	gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	gnutls_x509_crt_init(&certificate);
	gnutls_x509_crt_set_version(certificate, 3);
	gnutls_x509_crt_set_serial(certificate, "\1", 1);
	gnutls_x509_crt_set_activation_time(certificate, time(NULL) - 60);
	gnutls_x509_crt_set_expiration_time(certificate, time(NULL) + 600);
	gnutls_x509_crt_set_dn(certificate, "CN=spec", NULL);
	gnutls_x509_crt_set_key(certificate, key);
	gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0);
	CHECK(gnutls_certificate_set_x509_key(to, &certificate, 1, key) >= 0);
	gnutls_x509_crt_deinit(certificate);
	gnutls_x509_privkey_deinit(key);
}

#endif
