#include "amqp/address.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "amqp/percent.h"

#define FORM "must have the form amqp://user:password@host:port/vhost"

static const char bad_user[] = FORM ": user or password have a % that is not one of %01 to %FF, a percent sign is %25";
static const char bad_port[] = FORM ": the port must be a number from 0 to 65535";
static const char bad_vhost[] = FORM ": the vhost has a % that is not one of %01 to %FF, a percent sign is %25";

enum { PORT = 5672, TLS_PORT = 5671, LOGIN_BYTES = 300 };

/* -- what comes before the authority -- */

/* Cuts `zone=NAME;` off the front. */
static const char *take_zone(const char *url, struct kb_slice *zone)
{
	static const char prefix[] = "zone=";
	const char *name = url + strlen(prefix);
	const char *end = strncmp(url, prefix, strlen(prefix)) == 0 ? strchr(name, ';') : NULL;
	if (!end)
		return url;
	*zone = kb_slice(name, (size_t)(end - name));
	return end + 1;
}

/* What follows the scheme; NULL: it is none of ours. */
static const char *take_scheme(const char *url, bool *tls)
{
	static const char *const schemes[] = {"amqp://", "kazoo://", "amqps://"};
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
		size_t n = strlen(schemes[i]);
		*tls = i == 2;
		if (strncasecmp(url, schemes[i], n) == 0)
			return url + n;
	}
	return NULL;
}

/* -- the parts of the rest, each cut off and decoded in place -- */

/* What is behind the first `separator`, which becomes the end of the text; NULL: there is none. */
static char *cut(char *text, char separator)
{
	char *at = strchr(text, separator);
	if (!at)
		return NULL;
	*at = '\0';
	return at + 1;
}

static const char *read_vhost(char *text, struct kb_amqp_address *a)
{
	a->vhost = text && text[0] ? text : "/";
	if (!text)
		return NULL;
	if (strchr(text, '/'))
		return FORM ": a slash in the name of a vhost is %2F";
	return kb_amqp_percent_decode(text) ? NULL : bad_vhost;
}

/* Returns what is behind the user. A password may have an `@` of its own: the host begins behind the last. */
static char *read_user(char *text, struct kb_amqp_address *a, bool *good)
{
	char *at = strrchr(text, '@');
	*good = true;
	a->user = a->password = "guest";
	if (!at)
		return text;
	*at = '\0';
	char *password = cut(text, ':');
	a->has_user = true;
	a->user = text;
	a->password = password ? password : a->password;
	*good = kb_amqp_percent_decode(text) && (!password || kb_amqp_percent_decode(password));
	return at + 1;
}

static bool read_port(char *text, struct kb_amqp_address *a)
{
	a->port = a->tls ? TLS_PORT : PORT;
	if (!text || !text[0])
		return true;
	char *end;
	errno = 0;
	long port = kb_amqp_percent_decode(text) ? strtol(text, &end, 10) : -1;
	a->port = (int)port;
	return port >= 0 && port < 65536 && errno == 0 && *end == '\0';
}

/* An IPv6 address stands in brackets, perhaps with a zone behind `%25` (RFC 6874), which is often written as `%`. */
static const char *read_bracketed(char *text, struct kb_amqp_address *a)
{
	char *rest = cut(text, ']');
	a->host = text;
	if (!rest || !text[0] || (rest[0] && rest[0] != ':'))
		return FORM ", with an IPv6 address in brackets";
	kb_amqp_percent_decode(text);
	return read_port(rest[0] ? rest + 1 : NULL, a) ? NULL : bad_port;
}

static const char *read_host(char *text, struct kb_amqp_address *a)
{
	if (text[0] == '[')
		return read_bracketed(text + 1, a);
	char *port = cut(text, ':');
	a->host = text[0] ? text : "localhost";
	if (!kb_amqp_percent_decode(text))
		return FORM ": the host has a % that is not one of %01 to %FF";
	return read_port(port, a) ? NULL : bad_port;
}

static const char *read_authority(char *text, struct kb_amqp_address *a)
{
	bool good;
	text = read_user(text, a, &good);
	return good ? read_host(text, a) : bad_user;
}

/* A `/`, `?` or `#` of a password that is not encoded ends what comes before the `@`: nothing of the rest may be shown
 * then, as a value for one. */
static bool hides_password(const char *authority, const char *query)
{
	return query && strchr(query, '@') && !strchr(authority, '@');
}

static const char *read_parts(char *text, struct kb_amqp_address *a)
{
	if (strchr(text, '#'))
		return FORM ": a # is %23 in each part";
	char *query = cut(text, '?'), *vhost = cut(text, '/');
	if (hides_password(text, query))
		return FORM ": a ? in user or password is %3F, an @ in the query is %40";
	const char *why = read_authority(text, a);
	why = why ? why : read_vhost(vhost, a);
	return why ? why : kb_amqp_address_options_read(query, a->tls, &a->options);
}

/* -- all of it -- */

const char *kb_amqp_address_parse(const char *url, struct kb_amqp_address *address)
{
	*address = (struct kb_amqp_address){0};
	const char *rest = take_scheme(take_zone(url, &address->zone), &address->tls);
	if (!rest)
		return "must begin with amqp://, amqps:// or kazoo://";
	address->copy = strdup(rest);
	const char *why = address->copy ? read_parts(address->copy, address) : "out of memory";
	if (why)
		kb_amqp_address_free(address);
	return why;
}

void kb_amqp_address_free(struct kb_amqp_address *address)
{
	free(address->copy);
	*address = (struct kb_amqp_address){0};
}

/* -- what it means -- */

void kb_amqp_address_print(const struct kb_amqp_address *address, char *to, size_t size)
{
	const char *format = strchr(address->host, ':') ? "[%.255s]:%d" : "%.255s:%d";
	snprintf(to, size, format, address->host, address->port);
}

const char *kb_amqp_address_login(const struct kb_amqp_address *address)
{
	static char text[LOGIN_BYTES];
	const struct kb_amqp_address_options *o = &address->options;
	if (!address->has_user && o->n_mechanisms && o->mechanisms[0] == KB_AMQP_EXTERNAL)
		return o->n_mechanisms == 1 ? "the user of its certificate" : "the user of its certificate or guest";
	snprintf(text, sizeof text, "user %s", address->user);
	return text;
}

static void set_certificate(const struct kb_amqp_address_options *o, struct kb_tls_options *tls)
{
	if (o->cert_file) {
		tls->cert_file = o->cert_file;
		tls->cert_name = "certfile";
		tls->key_file = NULL; /* that of the configuration belongs to another certificate */
		tls->key_name = "certfile";
	}
	if (o->key_file) {
		tls->key_file = o->key_file;
		tls->key_name = "keyfile";
	}
	tls->key_password = o->key_password;
}

struct kb_tls_options kb_amqp_address_tls(const struct kb_amqp_address *address, const struct kb_tls_options *all)
{
	const struct kb_amqp_address_options *o = &address->options;
	struct kb_tls_options tls = *all;
	if (o->ca_file) {
		tls.ca_file = o->ca_file;
		tls.ca_name = "cacertfile";
	}
	set_certificate(o, &tls);
	if (o->verify != KB_AMQP_VERIFY_AS_SET)
		tls.any_peer = o->verify == KB_AMQP_VERIFY_NONE;
	if (o->server_name || o->any_name) {
		tls.expected_name = o->server_name;
		tls.any_name = o->any_name;
	}
	return tls;
}
