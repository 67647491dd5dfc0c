/* The INFO of a server (docs.nats.io, "Client Protocol"), as far as it matters here. */
#ifndef KB_NATS_INFO_H
#define KB_NATS_INFO_H

#include "core/slice.h"

struct kb_nats_info {
	size_t max_payload; /* bytes; 0: it does not say */
	bool tls_required, tls_available;
	bool lame_duck;          /* the server is about to close */
	bool headers;            /* it takes headers, and replies when there are no responders, which needs them */
	char nonce[128];         /* to be signed with an nkey; "": not asked for */
	char server_name[128];   /* "": an old server */
	struct kb_slice servers; /* JSON array of host:port, the cluster's; borrowed from the INFO */
};

/* `json`: the text of the operation. What is missing or of another type is zero. */
struct kb_nats_info kb_nats_info_read(struct kb_slice json);

#endif
