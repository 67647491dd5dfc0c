/* Logging in to a NATS server: the CONNECT that follows its INFO (docs.nats.io, "Client Protocol", "NATS NKeys and
 * JWT"). */
#ifndef KB_NATS_LOGIN_H
#define KB_NATS_LOGIN_H

#include "nats/info.h"
#include "nats/options.h"
#include "nats/server.h"

/* Appends CONNECT and PING. NULL, or why not: a file that cannot be used, named with its parameter, valid until the
 * next call. The files are read each time, so that the next connection has new credentials; what was read is wiped. */
const char *kb_nats_login_put(struct kb_buf *out, const struct kb_nats_info *info, const struct kb_nats_server *server,
	const struct kb_broker_config *config);

/* Wipes what a sent CONNECT has left in the memory of the buffer, which must be empty. */
void kb_nats_login_wipe(struct kb_buf *out);

/* For the start, without a server: NULL, or which file of the configuration cannot be used, and why. Valid until the
 * next call. */
const char *kb_nats_login_check(const struct kb_nats_credentials *login);

/* "as user NAME", "with a token", ...: for log lines, without a secret. Fills `to` and returns it. */
const char *kb_nats_login_describe(
	const struct kb_nats_server *server, const struct kb_nats_credentials *login, char *to, size_t size);

#endif
