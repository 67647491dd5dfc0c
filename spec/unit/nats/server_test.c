/* nats/server: which addresses are read. */
#include "nats/server.h"

#include "check.h"

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static void reads_addresses(void)
{
	static const struct {
		const char *url, *host;
		int port;
		const char *user, *password;
		bool tls;
	} cases[] = {
		{"nats://127.0.0.1:4222", "127.0.0.1", 4222, NULL, NULL, false},
		{"nats://user1:pass1@127.0.1.2:4223", "127.0.1.2", 4223, "user1", "pass1", false},
		{"host", "host", 4222, NULL, NULL, false},
		{" host:1 ", "host", 1, NULL, NULL, false},
		{"nats://host/path", "host", 4222, NULL, NULL, false},
		{"nats://host:/", "host", 4222, NULL, NULL, false},
		{"nats://", "localhost", 4222, NULL, NULL, false},
		{"nats://:65535", "localhost", 65535, NULL, NULL, false},
		{"nats://token@host", "host", 4222, "token", NULL, false},
		{"nats://user:@host", "host", 4222, "user", "", false},
		{"nats://u:p@ss:w/rd@host:1", "host", 1, "u", "p@ss:w/rd", false},
		{"nats://u%41:p%42@host", "host", 4222, "u%41", "p%42", false},
		{"tls://[::1]:7", "::1", 7, NULL, NULL, true},
		{"nats://:@host", "host", 4222, NULL, NULL, false},
		{"NATS://host", "host", 4222, NULL, NULL, false},
		{"Tls://host", "host", 4222, NULL, NULL, true},
		{"nats://caf\xc3\xa9:50%@host", "host", 4222, "caf\xc3\xa9", "50%", false},
		{"nats://u:p@[fe80::1%eth0]", "fe80::1%eth0", 4222, "u", "p", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct kb_nats_server s;
		const char *what = "";
		bool read = kb_nats_server_parse(cases[i].url, &s, &what);
		CHECK(read);
		if (!read)
			continue;
		if (!same(s.host, cases[i].host) || s.port != cases[i].port || !same(s.user, cases[i].user) ||
			!same(s.password, cases[i].password) || s.tls != cases[i].tls) {
			fprintf(stderr, "%s was read as another address\n", cases[i].url);
			check_failures++;
		}
		kb_nats_server_free(&s);
	}
}

static void refuses_what_is_no_address(void)
{
	static const char *const wrong[] = {"http://host", "TLSS://host", "nats://host:port", "nats://host:0",
		"nats://host:65536", "nats://host:-1", "nats://host:1x", "nats://a,nats://b", "nats://a b", "nats://[::1",
		"nats://[]", "nats://[::1]x", "nats://a:1:2", "://host", "nats://u:secret@ho st", "nats://[a\nb::1]",
		"nats://[host]"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct kb_nats_server s;
		const char *what = NULL;
		bool read = kb_nats_server_parse(wrong[i], &s, &what);
		CHECK(!read && what && !strstr(what, "secret"));
		if (read)
			fprintf(stderr, "%s was read as %s\n", wrong[i], s.host);
	}
}

static void prints_addresses(void)
{
	char text[64];
	struct kb_nats_server v4 = {.host = "10.0.0.1", .port = 4222}, v6 = {.host = "::1", .port = 1};
	kb_nats_server_print(&v4, text, sizeof text);
	CHECK(same(text, "10.0.0.1:4222"));
	kb_nats_server_print(&v6, text, sizeof text);
	CHECK(same(text, "[::1]:1"));
}

int main(void)
{
	reads_addresses();
	refuses_what_is_no_address();
	prints_addresses();
	return check_failures ? 1 : 0;
}
