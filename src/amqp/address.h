/* Addresses of AMQP brokers as configurations write them (kazoo manual 4.1.6), which are RabbitMQ's URIs
 * (https://www.rabbitmq.com/docs/uri-spec), also with a zone before them. */
#ifndef KB_AMQP_ADDRESS_H
#define KB_AMQP_ADDRESS_H

#include <stdbool.h>
#include "amqp/address_options.h"
#include "core/slice.h"
#include "net/tls_options.h"

struct kb_amqp_address {
	char *copy; /* owns the strings below */
	const char *host, *user, *password, *vhost;
	int port;
	bool tls;
	bool has_user;        /* the address names it; else it is the default one */
	struct kb_slice zone; /* points into the URL given; empty when it names none */
	struct kb_amqp_address_options options;
};

/* Reads `[zone=NAME;]amqp|amqps|kazoo://[user[:password]@][host][:port][/vhost][?NAME=VALUE&...]`. Absent parts have
 * the values of RabbitMQ's clients: guest, guest, localhost, 5672 or 5671, and `/`, also for an empty vhost. On failure
 * returns a sentence that says what is wrong, valid until the next call, without any part of the URL but the value of a
 * query parameter; else NULL, and kb_amqp_address_free() is due. */
const char *kb_amqp_address_parse(const char *url, struct kb_amqp_address *address);
void kb_amqp_address_free(struct kb_amqp_address *address);

/* Writes "host:port", with brackets around an IPv6 address. */
void kb_amqp_address_print(const struct kb_amqp_address *address, char *to, size_t size);

/* What log lines say of the login: "user NAME", or that the certificate names it. */
const char *kb_amqp_address_login(const struct kb_amqp_address *address);

/* The TLS options for this address: `all`, those of the configuration, with what the query of the address says instead.
 * The strings belong to the two. */
struct kb_tls_options kb_amqp_address_tls(const struct kb_amqp_address *address, const struct kb_tls_options *all);

#endif
