/* What a configuration says about NATS only: kb_broker_config.options. */
#ifndef KB_NATS_OPTIONS_H
#define KB_NATS_OPTIONS_H

#include "bus/broker.h"

/* Who we are. The user and password of an address have precedence. */
struct kb_nats_credentials {
	const char *token;      /* NULL or "": none */
	const char *creds_file; /* a user's JWT and seed; NULL: none */
	const char *nkey_file;  /* a user's seed alone; NULL: none */
};

struct kb_nats_options {
	int pings_out_max;        /* unanswered heartbeats after which a server is given up */
	const char *inbox_prefix; /* of the subjects that replies come to; NULL: "_INBOX" */
	bool tls;                 /* TLS with every address; otherwise with tls:// and where the server asks for it */
	struct kb_nats_credentials credentials;
};

/* Those of the configuration, or defaults; never NULL. */
static inline const struct kb_nats_options *kb_nats_options_of(const struct kb_broker_config *config)
{
	static const struct kb_nats_options none;
	return config->options ? config->options : &none;
}

#endif
