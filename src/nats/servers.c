#include "nats/servers.h"

#include <stdlib.h>
#include <string.h>
#include "core/json.h"

enum { ANNOUNCED_MAX = 64 };

bool kb_nats_servers_init(
	struct kb_nats_servers *servers, const char *const *urls, size_t n, size_t *bad, const char **what)
{
	*servers = (struct kb_nats_servers){.list = calloc(n + ANNOUNCED_MAX, sizeof *servers->list)};
	*bad = 0;
	*what = n ? "out of memory" : "no address given";
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

static bool known(const struct kb_nats_servers *servers, const struct kb_nats_server *server)
{
	for (size_t i = 0; i < servers->n; i++)
		if (kb_nats_server_same_address(&servers->list[i], server))
			return true;
	return false;
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
	if (!known(servers, &server) && kb_nats_server_equip(&server, &a->like, a->trusted))
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
	/* A copy: `like` may be one of those that are freed here. */
	struct announcement a = {.servers = servers, .like = kb_nats_server_copy(like), .trusted = trusted};
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
		s->found = s->found || (!kb_nats_server_same_address(&server, s->here) &&
								   kb_nats_server_equip(&server, s->here, s->trusted));
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
		s.found = s.found || !kb_nats_server_same_address(&servers->list[i], here);
	kb_json_each(array, look_at, &s);
	return s.found;
}
