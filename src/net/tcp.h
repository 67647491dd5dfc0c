/* TCP connections that are made within a deadline. */
#ifndef KB_NET_TCP_H
#define KB_NET_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Connects to one address after the other that the host name has, within timeout_ms altogether. Only the look-up of the
 * name may take longer: it takes what the system's resolver needs. Returns a non-blocking socket that sends at once
 * (TCP_NODELAY), is closed on exec() and belongs to the caller; or -1, and why. */
int kb_tcp_connect(const char *host, int port, int timeout_ms, char *why, size_t size);

/* True for an IPv4 or IPv6 address without brackets; false for a name. */
bool kb_tcp_is_ip(const char *host);

#endif
