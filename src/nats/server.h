/* The address of a NATS server, as a URL of the configuration or an announcement of a cluster has it. */
#ifndef KB_NATS_SERVER_H
#define KB_NATS_SERVER_H

#include <stdbool.h>
#include <stddef.h>

/* Strings are its own; kb_nats_server_free() frees them. */
struct kb_nats_server {
	char *host; /* without brackets, never empty */
	int port;
	char *user;     /* NULL: none; when the password is NULL it is a token */
	char *password; /* NULL: none; it may be empty */
	char *known_as; /* the name that its certificate must be for; NULL: the host */
	bool tls;
};

/* Reads [nats://|tls://][user[:[password]]@][host][:port][/...]. False: nothing to free, and *what is a reason that
 * repeats nothing of the URL, which may hold a password. */
bool kb_nats_server_parse(const char *url, struct kb_nats_server *server, const char **what);
void kb_nats_server_free(struct kb_nats_server *server);

/* To be freed by the caller. host is NULL when memory is out. */
struct kb_nats_server kb_nats_server_copy(const struct kb_nats_server *server);

/* Writes "host:port", with brackets around an IPv6 address. */
void kb_nats_server_print(const struct kb_nats_server *server, char *to, size_t size);

/* True when host and port are the same. */
bool kb_nats_server_same_address(const struct kb_nats_server *a, const struct kb_nats_server *b);

/*
 * Gives the credentials and TLS of `like` to a server that it announced. False: it must not have them.
 *
 * The first announcement comes before TLS begins, so anybody in between can add to it. With TLS the credentials must
 * not go to a server only because it has a certificate for the name that was announced: an IP address must have the
 * certificate of the host that announced it, and others count only with `trusted`, when only few have a certificate
 * that would be accepted.
 */
bool kb_nats_server_equip(struct kb_nats_server *server, const struct kb_nats_server *like, bool trusted);

#endif
