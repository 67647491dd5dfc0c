/*
 * TLS over a connected socket, verified unless the configuration says otherwise; no call but the handshake waits.
 *
 * GnuTLS, and not OpenSSL, which Kamailio's tls module makes keep its tables in memory that processes share.
 */
#ifndef KB_NET_TLS_H
#define KB_NET_TLS_H

#include <sys/types.h>
#include "net/tls_options.h"

struct kb_tls;

/* Shakes hands over a connected, non-blocking TCP socket, which it closes in any case, within timeout_ms. `host` is the
 * name that the certificate must be for. The files of the configuration are read each time. NULL, and why in `error`.
 */
struct kb_tls *kb_tls_start(
	int tcp, const char *host, const struct kb_broker_tls *config, int timeout_ms, char *error, size_t size);

/* Bytes read or written; 0: not now, see kb_tls_wants(); -1: the connection has ended, see kb_tls_reason(). What did
 * not go out must come first in the next write. After a write has failed, what the broker said before can still be
 * read, and its reason is behind that. */
ssize_t kb_tls_read(struct kb_tls *tls, void *to, size_t size);
ssize_t kb_tls_write(struct kb_tls *tls, const void *from, size_t size);

/* POLLIN and POLLOUT: what the last read and the last write that had to stop wait for at the socket. */
short kb_tls_wants(const struct kb_tls *tls);

/* True when kb_tls_read() has bytes without the socket having any. */
bool kb_tls_pending(const struct kb_tls *tls);

/* Why the connection has ended; NULL: the other side just closed it. Stays valid. */
const char *kb_tls_reason(const struct kb_tls *tls);

int kb_tls_socket(const struct kb_tls *tls);

/* Says good-bye, as far as the socket takes that now, and closes the socket. NULL is fine. */
void kb_tls_end(struct kb_tls *tls);

#endif
