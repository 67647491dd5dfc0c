#include "nats/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "net/tcp.h"

enum { DEFAULT_PORT = 4222 };

/* -- reading -- */

/* The next part of a URL: from `from` up to `to`, as a string of its own. Empty gives NULL. */
static char *part(const char *from, const char *to)
{
	return to > from ? strndup(from, (size_t)(to - from)) : NULL;
}

static const char *read_scheme(const char *url, struct kb_nats_server *server, const char **what)
{
	const char *end = strstr(url, "://");
	if (!end)
		return url;
	server->tls = end - url == 3 && strncasecmp(url, "tls", 3) == 0;
	if (!server->tls && !(end - url == 4 && strncasecmp(url, "nats", 4) == 0)) {
		*what = "the scheme must be nats:// or tls://";
		return NULL;
	}
	return end + 3;
}

/* A password may hold any character, `@` and `:` too: the host begins behind the last `@`. */
static const char *read_user(const char *at, const char *end, struct kb_nats_server *server)
{
	const char *host = at;
	for (const char *c = at; c < end; c++)
		if (*c == '@')
			host = c + 1;
	if (host == at)
		return at;
	const char *colon = memchr(at, ':', (size_t)(host - at));
	server->user = part(at, colon ? colon : host - 1);
	size_t n = colon ? (size_t)(host - 1 - (colon + 1)) : 0;
	server->password = colon && (server->user || n) ? strndup(colon + 1, n) : NULL; /* of a user, "" is one, too */
	return host;
}

static bool read_port(const char *at, const char *end, int *port)
{
	if (at == end)
		return true;
	char *stop;
	errno = 0;
	long n = strtol(at, &stop, 10);
	*port = (int)n;
	return errno == 0 && stop == end && n > 0 && n < 65536;
}

#define HOST_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"

static bool consists_of(const char *host, const char *allowed)
{
	return host && host[strspn(host, allowed)] == '\0';
}

static const char *read_host(const char *at, const char *end, struct kb_nats_server *server)
{
	const char *stop;
	if (at < end && *at == '[') { /* an IPv6 address, with colons of its own and perhaps a zone */
		const char *close = memchr(at, ']', (size_t)(end - at));
		if (!close || close == at + 1)
			return NULL;
		server->host = part(at + 1, close);
		return consists_of(server->host, HOST_CHARS ":%") && strchr(server->host, ':') ? close + 1 : NULL;
	}
	stop = memchr(at, ':', (size_t)(end - at));
	stop = stop ? stop : end;
	server->host = stop > at ? part(at, stop) : strdup("localhost");
	return consists_of(server->host, HOST_CHARS) ? stop : NULL;
}

static bool read_server(const char *url, struct kb_nats_server *server, const char **what)
{
	const char *at = read_scheme(url, server, what);
	if (!at)
		return false;
	/* A path means nothing; the credentials before the host may hold a slash. */
	const char *last = strrchr(at, '@');
	const char *end = strchr(last ? last : at, '/');
	end = end ? end : at + strlen(at);
	while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	at = read_host(read_user(at, end, server), end, server);
	if (!at || (at < end && *at != ':')) {
		*what = "expected one host name or address, IPv6 in brackets";
		return false;
	}
	server->port = DEFAULT_PORT;
	if (at < end && !read_port(at + 1, end, &server->port)) {
		*what = "the port must be a number from 1 to 65535";
		return false;
	}
	return true;
}

bool kb_nats_server_parse(const char *url, struct kb_nats_server *server, const char **what)
{
	*server = (struct kb_nats_server){0};
	url += strspn(url, " \t");
	if (read_server(url, server, what))
		return true;
	kb_nats_server_free(server);
	return false;
}

void kb_nats_server_free(struct kb_nats_server *server)
{
	free(server->host);
	free(server->user);
	free(server->password);
	free(server->known_as);
	*server = (struct kb_nats_server){0};
}

void kb_nats_server_print(const struct kb_nats_server *server, char *to, size_t size)
{
	const char *format = strchr(server->host, ':') ? "[%s]:%d" : "%s:%d";
	snprintf(to, size, format, server->host, server->port);
}

bool kb_nats_server_same_address(const struct kb_nats_server *a, const struct kb_nats_server *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* -- of a cluster -- */

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

struct kb_nats_server kb_nats_server_copy(const struct kb_nats_server *server)
{
	return (struct kb_nats_server){.host = copy(server->host),
		.port = server->port,
		.user = copy(server->user),
		.password = copy(server->password),
		.known_as = copy(server->known_as),
		.tls = server->tls};
}

static const char *certified_name(const struct kb_nats_server *server)
{
	return server->known_as ? server->known_as : server->host;
}

bool kb_nats_server_equip(struct kb_nats_server *server, const struct kb_nats_server *like, bool trusted)
{
	const char *name = certified_name(like);
	bool by_name = kb_tcp_is_ip(server->host) && !kb_tcp_is_ip(name);
	if (like->tls && !by_name && !trusted && strcmp(server->host, name) != 0)
		return false;
	free(server->user);
	free(server->password);
	server->user = copy(like->user);
	server->password = copy(like->password);
	server->known_as = by_name ? copy(name) : NULL;
	server->tls = like->tls;
	return !by_name || server->known_as;
}
