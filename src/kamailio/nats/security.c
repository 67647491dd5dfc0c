/* How Kamailio identifies itself to a NATS server, and how it verifies the server. */
#include "kamailio/nats/security.h"

#include <core/dprint.h>

#include <string.h>
#include <sys/stat.h>

#include "kamailio/glue/settings.h"
#include "kamailio/glue/tls_settings.h"
#include "kamailio/nats/settings.h"
#include "nats/login.h"

struct kb_nats_credentials kn_security_credentials(void)
{
	const struct kn_settings *s = kn_settings();
	return (struct kb_nats_credentials){
		.token = s->token, .creds_file = kb_tls_settings_file(s->creds), .nkey_file = kb_tls_settings_file(s->nkey)};
}

struct kb_tls_options kn_security_tls(void)
{
	const struct kn_settings *s = kn_settings();
	return (struct kb_tls_options){.ca_file = kb_tls_settings_file(s->tls_ca),
		.cert_file = kb_tls_settings_file(s->tls_cert),
		.key_file = kb_tls_settings_file(s->tls_key),
		.expected_name = kb_tls_settings_file(s->tls_expected_name),
		.any_peer = !s->tls_verify_peer,
		.any_name = !s->tls_verify_hostname,
		.ca_name = "tls_ca_file",
		.cert_name = "tls_cert_file",
		.key_name = "tls_key_file"};
}

/* -- credentials -- */

static void warn_of_readers(const char *parameter, const char *file)
{
	struct stat s;
	if (file && stat(file, &s) == 0 && (s.st_mode & (S_IROTH | S_IWOTH)))
		LM_WARN("%s: \"%s\" contains a secret but is accessible to every user of this host\n", parameter, file);
}

static bool check_login(const struct kb_nats_credentials *login)
{
	const char *wrong;
	bool token = login->token && login->token[0];
	if (token + (login->creds_file != NULL) + (login->nkey_file != NULL) > 1) {
		LM_ERR("nats_token, nats_creds and nats_nkey exclude each other: set only one of them\n");
		return false;
	}
	wrong = kb_nats_login_check(login);
	if (wrong)
		LM_ERR("%s\n", wrong);
	warn_of_readers("nats_creds", login->creds_file);
	warn_of_readers("nats_nkey", login->nkey_file);
	return !wrong;
}

/* -- TLS -- */

static bool check_tls(const struct kb_tls_options *tls)
{
	if (tls->key_file && !tls->cert_file) {
		LM_ERR("tls_key_file is set but tls_cert_file is not\n");
		return false;
	}
	if (!kb_tls_settings_check(tls, "nats", "tls_verify_peer is 0", "tls_verify_hostname is 0"))
		return false;
	warn_of_readers(tls->key_file ? "tls_key_file" : "tls_cert_file", tls->key_file ? tls->key_file : tls->cert_file);
	return true;
}

bool kn_security_check(void)
{
	const struct kn_settings *s = kn_settings();
	struct kb_nats_credentials credentials = kn_security_credentials();
	struct kb_tls_options tls = kn_security_tls();
	if (!kb_settings_in_range("tls", s->tls, 0, 1) ||
		!kb_settings_in_range("tls_verify_peer", s->tls_verify_peer, 0, 1) ||
		!kb_settings_in_range("tls_verify_hostname", s->tls_verify_hostname, 0, 1) || !check_login(&credentials))
		return false;
	/* A server can require TLS for any address, so these parameters are always checked. */
	return check_tls(&tls);
}
