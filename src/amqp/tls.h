/*
 * TLS for an AMQP connection, out of sight of librabbitmq.
 *
 * The library's own TLS socket can only be written to through the library, which waits as long as a broker takes no
 * data. So it is given one end of a socket pair, to which link.c writes as to any socket, and a thread moves bytes
 * between the other end and the broker. When the broker takes nothing, the thread reads nothing, and the pair fills up
 * as a TCP socket would.
 *
 *     kb_amqp_tls_start()   the handshake, then the thread
 *     kb_amqp_tls_plain()   the end for the library, which closes it
 *     kb_amqp_tls_end()     after that
 */
#ifndef KB_AMQP_TLS_H
#define KB_AMQP_TLS_H

#include <stddef.h>
#include "net/tls_options.h"

struct kb_amqp_tls;

/* Makes the TLS handshake over a connected, non-blocking TCP socket, which it closes in any case, within timeout_ms.
 * `host` is the name that the certificate must be for. The files of the configuration are read each time. NULL, and why
 * in `error`.
 */
struct kb_amqp_tls *kb_amqp_tls_start(
	int tcp, const char *host, const struct kb_tls_options *config, int timeout_ms, char *error, size_t size);

int kb_amqp_tls_plain(const struct kb_amqp_tls *tls);
int kb_amqp_tls_tcp(const struct kb_amqp_tls *tls);

/* Why the broker's side ended, once the plain end has ended; NULL: the broker just closed it. Stays valid. */
const char *kb_amqp_tls_reason(const struct kb_amqp_tls *tls);

void kb_amqp_tls_end(struct kb_amqp_tls *tls); /* NULL is fine */

#endif
