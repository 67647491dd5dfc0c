/* The servers that a NATS connection may go to: those of the configuration, then those that the cluster announced. */
#ifndef KB_NATS_SERVERS_H
#define KB_NATS_SERVERS_H

#include "core/slice.h"
#include "nats/server.h"

/* Zero-initialise; kb_nats_servers_free() ends it. */
struct kb_nats_servers {
	struct kb_nats_server *list;
	size_t n, n_configured; /* announced ones follow the configured ones */
	size_t next;
};

/* False: the index of the URL that cannot be read, and why; the list has to be freed all the same. */
bool kb_nats_servers_init(
	struct kb_nats_servers *servers, const char *const *urls, size_t n, size_t *bad, const char **what);
void kb_nats_servers_free(struct kb_nats_servers *servers);

/* The one to try now, in turn; valid until the next kb_nats_servers_announced(). */
const struct kb_nats_server *kb_nats_servers_next(struct kb_nats_servers *servers);

/* Replaces the earlier announcement by a JSON array of addresses. They are tried after the configured ones, with the
 * credentials of `like`, which announced them, as far as kb_nats_server_equip() allows. */
void kb_nats_servers_announced(
	struct kb_nats_servers *servers, struct kb_slice array, const struct kb_nats_server *like, bool trusted);

/* True when the list, or the array that `here` announced, holds a server at another address that would be tried. */
bool kb_nats_servers_others(
	const struct kb_nats_servers *servers, const struct kb_nats_server *here, struct kb_slice array, bool trusted);

#endif
