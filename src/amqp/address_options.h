/*
 * The query of an AMQP URI: settings for one address, instead of the parameters of the module
 * (https://www.rabbitmq.com/docs/uri-query-parameters, and what RabbitMQ's Erlang client reads beyond that page).
 */
#ifndef KB_AMQP_ADDRESS_OPTIONS_H
#define KB_AMQP_ADDRESS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum kb_amqp_mechanism { KB_AMQP_PLAIN, KB_AMQP_AMQPLAIN, KB_AMQP_EXTERNAL };

enum kb_amqp_verify {
	KB_AMQP_VERIFY_AS_SET /* by the module's parameters */,
	KB_AMQP_VERIFY_PEER,
	KB_AMQP_VERIFY_NONE
};

enum { KB_AMQP_MECHANISMS = 3, KB_AMQP_WARNING_BYTES = 300 };

/* The strings lie in the text that was read. */
struct kb_amqp_address_options {
	int heartbeat_s;        /* 0: none; -1: not given */
	int connect_timeout_ms; /* 0: not given */
	int channel_max;        /* 0: without a limit; -1: not given */
	int frame_max;          /* bytes; 0: not given */

	const char *ca_file, *cert_file, *key_file; /* PEM; NULL: not given */
	const char *key_password;                   /* NULL: none */
	const char *server_name;                    /* that the certificate must be for; NULL: not given */
	bool any_name;                              /* server_name_indication=disable */
	enum kb_amqp_verify verify;

	enum kb_amqp_mechanism mechanisms[KB_AMQP_MECHANISMS]; /* of SASL: the first that the broker offers is used;
															  without any PLAIN or AMQPLAIN */
	size_t n_mechanisms;

	char warning[KB_AMQP_WARNING_BYTES]; /* what has no effect, and why; "": nothing */
};

/* Reads NAME=VALUE&... and decodes it in place; NULL is an address without a query. `tls`: the address has TLS. Returns
 * NULL, or a sentence about a parameter with a wrong value, valid until the next call; the value of `password` is never
 * in it. */
const char *kb_amqp_address_options_read(char *text, bool tls, struct kb_amqp_address_options *options);

#endif
