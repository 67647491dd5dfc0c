/* Addresses of AMQP brokers as configurations write them (kazoo manual 4.1.6). */
#ifndef KB_AMQP_ADDRESS_H
#define KB_AMQP_ADDRESS_H

#include <stdbool.h>
#include "core/slice.h"

struct kb_amqp_address {
	char *copy; /* owns the strings below */
	const char *host, *user, *password, *vhost;
	int port;
	bool tls;
	struct kb_slice zone; /* points into the URL given; empty when it names none */
};

/* Reads `[zone=NAME;]amqp|amqps|kazoo://[user[:password]@]host[:port][/vhost]`. On failure returns a sentence that says
 * what is wrong, without any part of the URL; else NULL, and kb_amqp_address_free() is due. */
const char *kb_amqp_address_parse(const char *url, struct kb_amqp_address *address);
void kb_amqp_address_free(struct kb_amqp_address *address);

#endif
