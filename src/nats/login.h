/*
 * Who we are to a NATS server: what its INFO asks for, and the CONNECT that answers it (docs.nats.io, "Client
 * Protocol", "NATS NKeys and JWT").
 */
#ifndef KB_NATS_LOGIN_H
#define KB_NATS_LOGIN_H

#include "nats/options.h"
#include "nats/servers.h"

/* What of an INFO matters here. */
struct kb_nats_info {
	size_t max_payload; /* bytes; 0: it does not say */
	bool tls_required, tls_available, lame_duck;
	bool headers;            /* it takes them, and says when there are no responders, which takes some */
	char nonce[128];         /* to be signed with an nkey; "": none asked */
	char server_name[128];   /* "": an old server */
	struct kb_slice servers; /* JSON array of host:port, borrowed from the INFO */
};

struct kb_nats_info kb_nats_info_read(struct kb_slice json);

/* Appends CONNECT and PING. NULL, or why not: a file that cannot be used, named with its parameter. Files are read each
 * time, so that new credentials are taken at the next connection; what was read is wiped. */
const char *kb_nats_login_put(struct kb_buf *out, const struct kb_nats_info *info, const struct kb_nats_server *server,
	const struct kb_broker_config *config);

/* Wipes what a CONNECT that was sent left in the buffer, which must be empty. */
void kb_nats_login_wipe(struct kb_buf *out);

/* The same for a configuration alone, at start: NULL, or which file cannot be used, and why. */
const char *kb_nats_login_check(const struct kb_nats_credentials *login);

/* "as user NAME", "with a token", ...: for log lines, without a secret. `to` is filled and returned. */
const char *kb_nats_login_describe(
	const struct kb_nats_server *server, const struct kb_nats_credentials *login, char *to, size_t size);

#endif
