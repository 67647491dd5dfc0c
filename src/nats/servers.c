#include "nats/servers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "net/tcp.h"
#include "core/json.h"

enum { DEFAULT_PORT = 4222, ANNOUNCED_MAX = 64 };

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
	server->tls = end - url == 3 && strncmp(url, "tls", 3) == 0;
	if (!server->tls && !(end - url == 4 && strncmp(url, "nats", 4) == 0)) {
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
	server->password = colon ? strndup(colon + 1, (size_t)(host - 1 - (colon + 1))) : NULL; /* "" is one, too */
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
		*what = "one host name or address is expected, with IPv6 in brackets";
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

bool kb_nats_servers_init(
	struct kb_nats_servers *servers, const char *const *urls, size_t n, size_t *bad, const char **what)
{
	*servers = (struct kb_nats_servers){.list = calloc(n + ANNOUNCED_MAX, sizeof *servers->list)};
	*bad = 0;
	*what = n ? "out of memory" : "no address is given";
	if (!servers->list || !n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!kb_nats_server_parse(urls[i], &servers->list[i], what)) {
			*bad = i;
			return false;
		}
		servers->n = servers->n_configured = i + 1;
	}
	return true;
}

static void forget_announced(struct kb_nats_servers *servers)
{
	while (servers->n > servers->n_configured)
		kb_nats_server_free(&servers->list[--servers->n]);
}

void kb_nats_servers_free(struct kb_nats_servers *servers)
{
	servers->n_configured = 0;
	forget_announced(servers);
	free(servers->list);
	*servers = (struct kb_nats_servers){0};
}

const struct kb_nats_server *kb_nats_servers_next(struct kb_nats_servers *servers)
{
	if (servers->next >= servers->n)
		servers->next = 0;
	return &servers->list[servers->next++];
}

static bool same_address(const struct kb_nats_server *a, const struct kb_nats_server *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static bool known(const struct kb_nats_servers *servers, const struct kb_nats_server *server)
{
	for (size_t i = 0; i < servers->n; i++)
		if (same_address(&servers->list[i], server))
			return true;
	return false;
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

static const char *certified_name(const struct kb_nats_server *server)
{
	return server->known_as ? server->known_as : server->host;
}

/* Credentials and TLS as those of `like`. False: it must not have them. */
static bool equip(struct kb_nats_server *server, const struct kb_nats_server *like, bool trusted)
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

struct announcement {
	struct kb_nats_servers *servers;
	struct kb_nats_server like;
	bool trusted;
};

static void add_announced(struct announcement *a, const char *url)
{
	const char *what;
	struct kb_nats_server server;
	struct kb_nats_servers *servers = a->servers;
	if (servers->n - servers->n_configured == ANNOUNCED_MAX || !kb_nats_server_parse(url, &server, &what))
		return;
	if (!known(servers, &server) && equip(&server, &a->like, a->trusted))
		servers->list[servers->n++] = server;
	else
		kb_nats_server_free(&server);
}

static bool add_item(void *context, struct kb_slice key, struct kb_json_value item)
{
	struct announcement *a = context;
	struct kb_buf url = {0};
	(void)key;
	kb_json_text(item, &url);
	kb_buf_append_byte(&url, '\0');
	if (item.type == KB_JSON_STRING && !url.failed)
		add_announced(a, url.p);
	kb_buf_free(&url);
	return true;
}

void kb_nats_servers_announced(
	struct kb_nats_servers *servers, struct kb_slice array, const struct kb_nats_server *like, bool trusted)
{
	/* A copy, for `like` may be one of those that go now. */
	struct announcement a = {.servers = servers,
		.like = {.host = strdup(like->host),
			.user = copy(like->user),
			.password = copy(like->password),
			.known_as = copy(like->known_as),
			.tls = like->tls},
		.trusted = trusted};
	forget_announced(servers);
	if (a.like.host)
		kb_json_each(array, add_item, &a);
	kb_nats_server_free(&a.like);
}

struct search {
	const struct kb_nats_server *here;
	bool trusted, found;
};

static bool look_at(void *context, struct kb_slice key, struct kb_json_value item)
{
	struct search *s = context;
	struct kb_buf url = {0};
	struct kb_nats_server server;
	const char *what;
	(void)key;
	kb_json_text(item, &url);
	kb_buf_append_byte(&url, '\0');
	if (item.type == KB_JSON_STRING && !url.failed && kb_nats_server_parse(url.p, &server, &what)) {
		s->found = s->found || (!same_address(&server, s->here) && equip(&server, s->here, s->trusted));
		kb_nats_server_free(&server);
	}
	kb_buf_free(&url);
	return true;
}

bool kb_nats_servers_others(
	const struct kb_nats_servers *servers, const struct kb_nats_server *here, struct kb_slice array, bool trusted)
{
	struct search s = {.here = here, .trusted = trusted};
	for (size_t i = 0; i < servers->n; i++)
		s.found = s.found || !same_address(&servers->list[i], here);
	kb_json_each(array, look_at, &s);
	return s.found;
}
