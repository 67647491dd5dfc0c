#include "amqp/address_options.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "amqp/percent.h"
#include "core/number.h"

enum { WRONG_BYTES = 400, HOUR_MS = 3600000, FRAME_LEAST = 4096 /* AMQP 0-9-1, 4.2.3: frame-min-size */ };

typedef struct kb_amqp_address_options options_t;

/* -- what is wrong, and what has no effect -- */

static const char *wrong(const char *name, const char *value, const char *must)
{
	static char text[WRONG_BYTES];
	snprintf(text, sizeof text, "%s: \"%.100s\" %s", name, value, must);
	return text;
}

static void warn(options_t *o, const char *name, const char *why)
{
	size_t n = strlen(o->warning);
	snprintf(o->warning + n, sizeof o->warning - n, "%s%.60s %s", n ? "; " : "", name, why);
}

/* -- one parameter of each kind: NULL, or what is wrong -- */

static const char *read_number(const char *name, const char *value, int least, int most, int *number)
{
	static char must[60];
	uint64_t n;
	if (kb_number_read(kb_slice_from(value), (uint64_t)most, &n) && n >= (uint64_t)least) {
		*number = (int)n;
		return NULL;
	}
	snprintf(must, sizeof must, "must be a number from %d to %d", least, most);
	return wrong(name, value, must);
}

static const char *read_heartbeat(options_t *o, const char *value)
{
	return read_number("heartbeat", value, 0, 65535, &o->heartbeat_s);
}

static const char *read_connection_timeout(options_t *o, const char *value)
{
	return read_number("connection_timeout", value, 1, HOUR_MS, &o->connect_timeout_ms);
}

static const char *read_channel_max(options_t *o, const char *value)
{
	return read_number("channel_max", value, 0, 65535, &o->channel_max);
}

static const char *read_frame_max(options_t *o, const char *value)
{
	if (strcmp(value, "0") == 0)
		return NULL;
	return read_number("frame_max", value, FRAME_LEAST, INT32_MAX, &o->frame_max);
}

static const char *read_file(const char *name, const char *value, const char **file)
{
	*file = value;
	return value[0] ? NULL : wrong(name, value, "must be the path of a file");
}

static const char *read_cacertfile(options_t *o, const char *value)
{
	return read_file("cacertfile", value, &o->ca_file);
}

static const char *read_certfile(options_t *o, const char *value)
{
	return read_file("certfile", value, &o->cert_file);
}

static const char *read_keyfile(options_t *o, const char *value)
{
	return read_file("keyfile", value, &o->key_file);
}

static const char *read_password(options_t *o, const char *value)
{
	o->key_password = value;
	return NULL;
}

static const char *read_verify(options_t *o, const char *value)
{
	bool peer = strcmp(value, "verify_peer") == 0, none = strcmp(value, "verify_none") == 0;
	o->verify = peer ? KB_AMQP_VERIFY_PEER : KB_AMQP_VERIFY_NONE;
	return peer || none ? NULL : wrong("verify", value, "must be verify_peer or verify_none");
}

static const char *read_server_name(options_t *o, const char *value)
{
	o->any_name = strcmp(value, "disable") == 0;
	o->server_name = o->any_name ? NULL : value;
	return value[0] ? NULL : wrong("server_name_indication", value, "must be a host name, or \"disable\"");
}

static void add_mechanism(options_t *o, enum kb_amqp_mechanism mechanism)
{
	for (size_t i = 0; i < o->n_mechanisms; i++)
		if (o->mechanisms[i] == mechanism)
			return;
	o->mechanisms[o->n_mechanisms++] = mechanism;
}

static const char *read_mechanism(options_t *o, const char *value)
{
	static const char *const names[KB_AMQP_MECHANISMS] = {
		[KB_AMQP_PLAIN] = "plain", [KB_AMQP_AMQPLAIN] = "amqplain", [KB_AMQP_EXTERNAL] = "external"};
	for (int i = 0; i < KB_AMQP_MECHANISMS; i++)
		if (strcasecmp(value, names[i]) == 0) {
			add_mechanism(o, (enum kb_amqp_mechanism)i);
			return NULL;
		}
	return wrong("auth_mechanism", value, "must be plain, external or amqplain");
}

/* -- all of them -- */

static const struct {
	const char *name;
	const char *(*read)(options_t *o, const char *value);
	bool of_tls;
} parameters[] = {
	{"heartbeat", read_heartbeat, false},
	{"connection_timeout", read_connection_timeout, false},
	{"channel_max", read_channel_max, false},
	{"frame_max", read_frame_max, false},
	{"auth_mechanism", read_mechanism, false},
	{"cacertfile", read_cacertfile, true},
	{"certfile", read_certfile, true},
	{"keyfile", read_keyfile, true},
	{"password", read_password, true},
	{"verify", read_verify, true},
	{"server_name_indication", read_server_name, true},
};

static const char *read_parameter(options_t *o, const char *name, const char *value, bool tls)
{
	for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
		if (strcmp(parameters[i].name, name) != 0)
			continue;
		if (parameters[i].of_tls && !tls)
			warn(o, name, "has no effect without amqps://");
		return parameters[i].read(o, value);
	}
	warn(o, name, "is not a known parameter and has no effect");
	return NULL;
}

/* Decodes name and value by themselves: an encoded `=` or `&` is part of one of them. */
static const char *read_pair(options_t *o, char *name, bool tls)
{
	char *equals = strchr(name, '='), *value = equals ? equals + 1 : name + strlen(name);
	if (equals)
		*equals = '\0';
	if (!kb_amqp_percent_decode(name) || !kb_amqp_percent_decode(value))
		return "the query has a % that two hexadecimal digits other than 00 do not follow";
	return read_parameter(o, name, value, tls);
}

const char *kb_amqp_address_options_read(char *text, bool tls, struct kb_amqp_address_options *options)
{
	*options = (struct kb_amqp_address_options){.heartbeat_s = -1, .channel_max = -1};
	while (text && *text) {
		char *and = strchr(text, '&'), *next = and? and+1 : NULL;
		if (and)
			*and = '\0';
		const char *why = *text ? read_pair(options, text, tls) : NULL;
		if (why)
			return why;
		text = next;
	}
	return NULL;
}
