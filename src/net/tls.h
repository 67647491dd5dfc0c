/*
 * TLS over a connected socket. The broker is verified unless the configuration says otherwise. Only the handshake
 * waits.
 *
 * GnuTLS, not OpenSSL: Kamailio's tls module makes OpenSSL keep its tables in memory that processes share.
 */
#ifndef KB_NET_TLS_H
#define KB_NET_TLS_H

#include <sys/types.h>
#include "net/tls_options.h"

struct kb_tls;

/* Shakes hands over a connected, non-blocking TCP socket within timeout_ms. The socket belongs to it from here on, also
 * when it fails, which closes it. `host` is the name that the certificate must be for. The files of the configuration
 * are read each time. NULL, and why in `error`. kb_tls_end() frees the result. */
struct kb_tls *kb_tls_start(
	int tcp, const char *host, const struct kb_tls_options *options, int timeout_ms, char *error, size_t size);

/* The number of bytes read or written. 0: not now, see kb_tls_wants(). -1: the connection has ended, see
 * kb_tls_reason(). Bytes that were not written must come first in the next write. After a write has failed, what the
 * broker sent before can still be read, and its reason may be behind that. */
ssize_t kb_tls_read(struct kb_tls *tls, void *to, size_t size);
ssize_t kb_tls_write(struct kb_tls *tls, const void *from, size_t size);

/* POLLIN and POLLOUT: what the last read and the last write that had to stop wait for at the socket. */
short kb_tls_wants(const struct kb_tls *tls);

/* True when kb_tls_read() has bytes without the socket having any. */
bool kb_tls_pending(const struct kb_tls *tls);

/* Why the connection has ended; NULL: the other side just closed it. Valid until kb_tls_end(). */
const char *kb_tls_reason(const struct kb_tls *tls);

int kb_tls_socket(const struct kb_tls *tls);

/* Sends the end of the session as far as the socket takes it now, closes the socket and frees everything. NULL is fine.
 */
void kb_tls_end(struct kb_tls *tls);

#endif
