#include "nats/login.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nats/creds.h"
#include "nats/nkey.h"
#include "core/json.h"

enum { FILE_MAX = 64 * 1024 };

/* -- files with secrets -- */

static char fault_text[300];

static const char *fault_of(const char *parameter, const char *file, const char *why)
{
	snprintf(fault_text, sizeof fault_text, "%s \"%.150s\": %s", parameter, file, why);
	return fault_text;
}

static void wipe(struct kb_buf *secret)
{
	if (secret->p)
		explicit_bzero(secret->p, secret->capacity);
	kb_buf_free(secret);
}

static const char *read_file(const char *name, struct kb_buf *text)
{
	FILE *file = fopen(name, "re");
	char *to = file ? kb_buf_reserve(text, FILE_MAX) : NULL;
	const char *why = file ? NULL : strerror(errno);
	if (file && !to)
		why = "out of memory";
	if (to) {
		setvbuf(file, NULL, _IONBF, 0); /* the library would leave a copy of the secret in its own buffer */
		text->n = fread(to, 1, FILE_MAX, file);
		why = ferror(file) ? strerror(errno) : NULL;
	}
	if (file)
		fclose(file);
	return why;
}

/* -- the CONNECT -- */

static void put(struct kb_buf *out, const char *key, struct kb_slice value)
{
	kb_buf_printf(out, ",\"%s\":", key);
	kb_json_quote(value, out);
}

static const char *put_signature(struct kb_buf *out, struct kb_slice seed, const char *nonce)
{
	struct kb_buf signature = {0};
	const char *why = kb_nats_nkey_sign(seed, kb_slice_from(nonce), &signature);
	if (!why)
		put(out, "sig", kb_buf_slice(&signature));
	wipe(&signature);
	return why;
}

/* A file with a JWT and the seed of the user that it is for. */
static const char *put_creds(struct kb_buf *out, struct kb_slice text, const char *nonce)
{
	struct kb_slice jwt = kb_nats_creds_jwt(text), seed = kb_nats_creds_seed(text);
	if (!jwt.n)
		return "no NATS USER JWT found";
	if (!seed.n)
		return "no USER NKEY SEED found";
	put(out, "jwt", jwt);
	return put_signature(out, seed, nonce);
}

static const char *put_nkey(struct kb_buf *out, struct kb_slice text, const char *nonce)
{
	struct kb_buf name = {0};
	struct kb_slice seed = kb_nats_creds_seed(text);
	const char *why = seed.n ? kb_nats_nkey_public(seed, &name) : "no nkey seed (SU...) found";
	if (!why) {
		put(out, "nkey", kb_buf_slice(&name));
		why = put_signature(out, seed, nonce);
	}
	kb_buf_free(&name);
	return why;
}

/* The contents of the files of the configuration; nothing when there are none. */
static const char *put_files(struct kb_buf *out, const struct kb_nats_credentials *login, const char *nonce)
{
	struct kb_buf text = {0};
	bool creds = login->creds_file != NULL;
	const char *file = creds ? login->creds_file : login->nkey_file;
	if (!file)
		return NULL;
	const char *why = read_file(file, &text);
	if (!why)
		why = creds ? put_creds(out, kb_buf_slice(&text), nonce) : put_nkey(out, kb_buf_slice(&text), nonce);
	wipe(&text);
	return why ? fault_of(creds ? "nats_creds" : "nats_nkey", file, why) : NULL;
}

/* An address with a user or a token of its own has precedence over the parameters. */
static const char *put_who(struct kb_buf *out, const struct kb_nats_info *info, const struct kb_nats_server *server,
	const struct kb_nats_credentials *login)
{
	if (server->user && server->password) {
		put(out, "user", kb_slice_from(server->user));
		put(out, "pass", kb_slice_from(server->password));
		return NULL;
	}
	if (server->user || (login->token && login->token[0])) {
		put(out, "auth_token", kb_slice_from(server->user ? server->user : login->token));
		return NULL;
	}
	return put_files(out, login, info->nonce);
}

void kb_nats_login_wipe(struct kb_buf *out)
{
	if (out->p && out->n == 0)
		explicit_bzero(out->p, out->capacity);
}

const char *kb_nats_login_put(struct kb_buf *out, const struct kb_nats_info *info, const struct kb_nats_server *server,
	const struct kb_broker_config *config)
{
	const char *headers = info->headers ? "true" : "false";
	kb_buf_printf(out,
		"CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":%s,\"lang\":\"kemibus\",\"version\":\"%s\","
		"\"protocol\":1,\"headers\":%s,\"no_responders\":%s",
		info->tls_required || server->tls ? "true" : "false", KB_VERSION, headers, headers);
	put(out, "name", kb_slice_from(config->client_name));
	const char *why = put_who(out, info, server, &kb_nats_options_of(config)->credentials);
	kb_buf_append_slice(out, KB_SLICE_LITERAL("}\r\nPING\r\n"));
	return why ? why : out->failed ? "out of memory" : NULL;
}

const char *kb_nats_login_check(const struct kb_nats_credentials *login)
{
	struct kb_buf ignored = {0};
	const char *why = put_files(&ignored, login, "");
	wipe(&ignored);
	return why;
}

const char *kb_nats_login_describe(
	const struct kb_nats_server *server, const struct kb_nats_credentials *login, char *to, size_t size)
{
	if (server->user && server->password)
		snprintf(to, size, "as user %s", server->user);
	else if (server->user || (login->token && login->token[0]))
		snprintf(to, size, "with a token");
	else if (login->creds_file)
		snprintf(to, size, "with the credentials of %s", login->creds_file);
	else if (login->nkey_file)
		snprintf(to, size, "with the nkey of %s", login->nkey_file);
	else
		snprintf(to, size, "without credentials");
	return to;
}
