/* amqp/address and nats/server: addresses as configurations write them and clusters announce them. */
#include "amqp/address.h"
#include "nats/server.h"
#include "fuzz.h"

static void reads_amqp(const char *url)
{
	struct kb_amqp_address a;
	const char *wrong = kb_amqp_address_parse(url, &a);
	if (wrong) {
		MUST(!a.copy);
		return;
	}
	MUST(a.host && a.host[0] && a.user && a.password && a.vhost && a.vhost[0]);
	MUST(a.port >= 0 && a.port < 65536 && lies_in(a.zone, kb_slice_from(url)));
	MUST(strlen(a.host) + strlen(a.user) + strlen(a.password) + strlen(a.vhost) < strlen(url) + 64);
	kb_amqp_address_free(&a);
}

/* What names a server in log lines finds it again. */
static void names_itself(const struct kb_nats_server *s)
{
	char text[5000];
	const char *what;
	struct kb_nats_server again;
	kb_nats_server_print(s, text, sizeof text);
	MUST(kb_nats_server_parse(text, &again, &what));
	MUST(strcmp(again.host, s->host) == 0 && again.port == s->port && !again.user && !again.tls);
	kb_nats_server_free(&again);
}

static void reads_nats(const char *url)
{
	struct kb_nats_server s;
	const char *what = NULL;
	if (!kb_nats_server_parse(url, &s, &what)) {
		MUST(what && !s.host && !s.user && !s.password);
		return;
	}
	MUST(s.host && s.host[0] && s.port > 0 && s.port < 65536 && (s.user || !s.password || s.password[0]));
	for (const char *c = s.host; *c; c++)
		MUST((unsigned char)*c > ' ' && (unsigned char)*c < 0x7f);
	names_itself(&s);
	kb_nats_server_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *url = malloc(size + 1);
	memcpy(url, bytes, size);
	url[size] = '\0';
	reads_amqp(url);
	reads_nats(url);
	free(url);
	return 0;
}
