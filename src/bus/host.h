/* The host of an address, as events show it. */
#ifndef KB_BUS_HOST_H
#define KB_BUS_HOST_H

#include "core/slice.h"

/* "host:port" without the port. */
static inline struct kb_slice kb_host_of(const char *address)
{
	const char *colon = strrchr(address, ':');
	return kb_slice(address, colon ? (size_t)(colon - address) : strlen(address));
}

#endif
