/* The servers that a NATS connection may go to: those of the configuration, then those that the cluster announced. */
#ifndef KB_NATS_SERVERS_H
#define KB_NATS_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include "core/slice.h"

struct kb_nats_server {
	char *host; /* without brackets, never empty */
	int port;
	char *user;     /* NULL: none; with a password of NULL it is a token */
	char *password; /* NULL: none; it may be empty */
	char *known_as; /* whom its certificate must be for; NULL: the host */
	bool tls;
};

/* Zero-initialise; kb_nats_servers_free() ends it. */
struct kb_nats_servers {
	struct kb_nats_server *list;
	size_t n, n_configured; /* announced ones follow the configured ones */
	size_t next;
};

/* Reads [nats://|tls://][user[:[password]]@][host][:port][/...]. False, and a reason in *what that repeats nothing of
 * the URL; else the caller frees the result. */
bool kb_nats_server_parse(const char *url, struct kb_nats_server *server, const char **what);
void kb_nats_server_free(struct kb_nats_server *server);

/* Writes "host:port", with brackets around an IPv6 address. */
void kb_nats_server_print(const struct kb_nats_server *server, char *to, size_t size);

/* False, with the index of the URL that could not be read, and why. */
bool kb_nats_servers_init(
	struct kb_nats_servers *servers, const char *const *urls, size_t n, size_t *bad, const char **what);
void kb_nats_servers_free(struct kb_nats_servers *servers);

/* The one to try now, going round; valid until the next kb_nats_servers_announced(). */
const struct kb_nats_server *kb_nats_servers_next(struct kb_nats_servers *servers);

/*
 * Replaces what was announced earlier by a JSON array of addresses. They are tried after the configured ones, with the
 * credentials of `like`, which announced them.
 *
 * The first announcement comes before TLS begins, so anybody in between can add to it. With TLS the credentials must
 * not go to a server only because it has a certificate for the name that was announced: an IP address must have the
 * certificate of the host that announced it, and others count only with `trusted`, when not everybody has a certificate
 * that would do.
 */
void kb_nats_servers_announced(
	struct kb_nats_servers *servers, struct kb_slice array, const struct kb_nats_server *like, bool trusted);

/* True when the list, or the array that `here` announced, holds a server at another address that would be tried. */
bool kb_nats_servers_others(
	const struct kb_nats_servers *servers, const struct kb_nats_server *here, struct kb_slice array, bool trusted);

#endif
