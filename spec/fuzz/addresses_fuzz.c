/* amqp/address and nats/server: addresses as configurations write them and clusters announce them. */
#include "amqp/address.h"
#include "nats/server.h"
#include "fuzz.h"

/* A part lies in the copy, which is of the bytes behind the scheme. */
static bool lies_in_copy(const struct kb_amqp_address *a, const char *part, size_t n)
{
	return !part || (part >= a->copy && part + strlen(part) <= a->copy + n);
}

static void has_sound_options(const struct kb_amqp_address *a, size_t n)
{
	const struct kb_amqp_address_options *o = &a->options;
	MUST(o->heartbeat_s >= -1 && o->heartbeat_s < 65536 && o->channel_max >= -1 && o->channel_max < 65536);
	MUST(o->connect_timeout_ms >= 0 && (o->frame_max == 0 || o->frame_max >= 4096));
	MUST(o->n_mechanisms <= KB_AMQP_MECHANISMS && strlen(o->warning) < sizeof o->warning);
	MUST(lies_in_copy(a, o->ca_file, n) && lies_in_copy(a, o->cert_file, n) && lies_in_copy(a, o->key_file, n));
	MUST(lies_in_copy(a, o->key_password, n) && lies_in_copy(a, o->server_name, n));
}

/* What log lines say of it. */
static void is_printed(const struct kb_amqp_address *a)
{
	char text[300];
	kb_amqp_address_print(a, text, sizeof text);
	MUST(strlen(text) < sizeof text - 1 && strrchr(text, ':') && kb_amqp_address_login(a)[0]);
}

static void reads_amqp(const char *url)
{
	struct kb_amqp_address a;
	const char *wrong = kb_amqp_address_parse(url, &a);
	if (wrong) {
		MUST(!a.copy && wrong[0]);
		return;
	}
	MUST(a.host && a.host[0] && a.user && a.password && a.vhost && a.vhost[0]);
	MUST(a.port >= 0 && a.port < 65536 && lies_in(a.zone, kb_slice_from(url)));
	MUST(strlen(a.host) + strlen(a.user) + strlen(a.password) + strlen(a.vhost) < strlen(url) + 64);
	MUST(a.has_user == lies_in_copy(&a, a.user, strlen(url)));
	has_sound_options(&a, strlen(url));
	is_printed(&a);
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
