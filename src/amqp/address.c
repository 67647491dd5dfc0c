#include "amqp/address.h"

#include <amqp.h>
#include <stdlib.h>

static const char *after(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);
	return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

/* Cuts `zone=NAME;` off the front. */
static const char *take_zone(const char *url, struct kb_slice *zone)
{
	const char *name = after(url, "zone=");
	const char *end = name ? strchr(name, ';') : NULL;
	if (!end)
		return url;
	*zone = kb_slice(name, (size_t)(end - name));
	return end + 1;
}

/* A copy that librabbitmq may write into; it knows amqp:// and amqps:// only. */
static char *library_url(const char *url)
{
	const char *rest = after(url, "kazoo://");
	size_t n = strlen(rest ? rest : url);
	char *copy = malloc(n + sizeof "amqp://");
	if (!copy)
		return NULL;
	size_t prefix = rest ? strlen("amqp://") : 0;
	memcpy(copy, "amqp://", prefix);
	memcpy(copy + prefix, rest ? rest : url, n + 1);
	return copy;
}

const char *kb_amqp_address_parse(const char *url, struct kb_amqp_address *address)
{
	struct amqp_connection_info info;
	*address = (struct kb_amqp_address){0};
	url = take_zone(url, &address->zone);
	if (!after(url, "amqp://") && !after(url, "amqps://") && !after(url, "kazoo://"))
		return "must begin with amqp://, amqps:// or kazoo://";
	address->copy = library_url(url);
	if (!address->copy)
		return "out of memory";
	amqp_default_connection_info(&info);
	if (amqp_parse_url(address->copy, &info) != AMQP_STATUS_OK || !info.host[0]) {
		kb_amqp_address_free(address);
		return "must have the form amqp://user:password@host:port/vhost";
	}
	address->host = info.host;
	address->port = info.port;
	address->user = info.user;
	address->password = info.password;
	address->vhost = info.vhost[0] ? info.vhost : "/"; /* a bare slash at the end means the default one */
	address->tls = info.ssl;
	return NULL;
}

void kb_amqp_address_free(struct kb_amqp_address *address)
{
	free(address->copy);
	*address = (struct kb_amqp_address){0};
}
