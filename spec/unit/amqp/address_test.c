/* amqp/address, amqp/address_options, amqp/percent: which addresses are read, and what is said of others. */
#include "amqp/address.h"

#include <amqp.h>
#include <stdlib.h>
#include "amqp/percent.h"
#include "check.h"

static void decodes(void)
{
	static const char *const cases[][2] = {{"", ""}, {"a", "a"}, {"%41%6a", "Aj"}, {"caf%C3%A9", "caf\xc3\xa9"},
		{"%ff%FE%80", "\xff\xfe\x80"}, {"%25", "%"}, {"%2525", "%25"}, {"a%2Fb%3A%40", "a/b:@"}, {"%01", "\x01"}};
	static const char *const wrong[] = {"%", "%4", "a%", "%%41", "%g1", "%1g", "%00", "%41%zz", "%-1", "% 1"};
	char text[40];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		strcpy(text, cases[i][0]);
		CHECK(kb_amqp_percent_decode(text));
		CHECK_TEXT(text, cases[i][1]);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		strcpy(text, wrong[i]);
		CHECK(!kb_amqp_percent_decode(text));
		CHECK_TEXT(text, wrong[i]);
	}
}

/* Each byte of user, password and vhost, as each may be written. */
static void every_byte_can_be_in_each_part(void)
{
	for (int byte = 1; byte < 256; byte++) {
		char url[100], expected[8];
		struct kb_amqp_address a;
		snprintf(url, sizeof url, byte & 1 ? "amqp://u%%%02x:p%%%02x@h/v%%%02x" : "amqp://u%%%02X:p%%%02X@h/v%%%02X",
			byte, byte, byte);
		CHECK(!kb_amqp_address_parse(url, &a));
		snprintf(expected, sizeof expected, "u%c", byte);
		CHECK_TEXT(a.user, expected);
		expected[0] = 'p';
		CHECK_TEXT(a.password, expected);
		expected[0] = 'v';
		CHECK_TEXT(a.vhost, expected);
		kb_amqp_address_free(&a);
	}
}

static void reads_addresses(void)
{
	static const struct {
		const char *url, *user, *password, *host;
		int port;
		const char *vhost;
		bool tls;
	} cases[] = {
		/* the examples of the specification */
		{"amqp://user:pass@host:10000/vhost", "user", "pass", "host", 10000, "vhost", false},
		{"amqp://user%61:%61pass@ho%61st:10000/v%2fhost", "usera", "apass", "hoast", 10000, "v/host", false},
		{"amqp://", "guest", "guest", "localhost", 5672, "/", false},
		{"amqp://:@/", "", "", "localhost", 5672, "/", false},
		{"amqp://user@", "user", "guest", "localhost", 5672, "/", false},
		{"amqp://user:pass@", "user", "pass", "localhost", 5672, "/", false},
		{"amqp://host", "guest", "guest", "host", 5672, "/", false},
		{"amqp://:10000", "guest", "guest", "localhost", 10000, "/", false},
		{"amqp:///vhost", "guest", "guest", "localhost", 5672, "vhost", false},
		{"amqp://host/", "guest", "guest", "host", 5672, "/", false},
		{"amqp://host/%2f", "guest", "guest", "host", 5672, "/", false},
		{"amqp://[::1]", "guest", "guest", "::1", 5672, "/", false},
		/* and more */
		{"amqps://host", "guest", "guest", "host", 5671, "/", true},
		{"AMQPS://host", "guest", "guest", "host", 5671, "/", true},
		{"Amqp://host", "guest", "guest", "host", 5672, "/", false},
		{"KAZOO://u:p@host:1/v", "u", "p", "host", 1, "v", false},
		{"zone=a;AMQPS://u:p@host/v", "u", "p", "host", 5671, "v", true},
		{"amqp://guest:caf%C3%A9@h", "guest", "caf\xc3\xa9", "h", 5672, "/", false},
		{"amqp://guest:caf\xc3\xa9@h", "guest", "caf\xc3\xa9", "h", 5672, "/", false},
		{"amqp://u:@h", "u", "", "h", 5672, "/", false},
		{"amqp://@h", "", "guest", "h", 5672, "/", false},
		{"amqp://u:p:q@h", "u", "p:q", "h", 5672, "/", false},
		{"amqp://u:p@ss@h", "u", "p@ss", "h", 5672, "/", false},
		{"amqp://u:p@[2001:db8::7]:5/v", "u", "p", "2001:db8::7", 5, "v", false},
		{"amqp://[fe80::1%25eth0]", "guest", "guest", "fe80::1%eth0", 5672, "/", false},
		{"amqp://[fe80::1%eth0]:7", "guest", "guest", "fe80::1%eth0", 7, "/", false},
		{"amqp://[::1]:", "guest", "guest", "::1", 5672, "/", false},
		{"amqp://host:/v", "guest", "guest", "host", 5672, "v", false},
		{"amqps://host:65535?", "guest", "guest", "host", 65535, "/", true},
		{"amqp://host/a:b@c?heartbeat=1", "guest", "guest", "host", 5672, "a:b@c", false},
		{"amqp://u%3Av:p%2F%3F%23%40@h?", "u:v", "p/?#@", "h", 5672, "/", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct kb_amqp_address a;
		const char *why = kb_amqp_address_parse(cases[i].url, &a);
		CHECK_TEXT(why ? why : "", "");
		if (why)
			continue;
		CHECK_TEXT(a.user, cases[i].user);
		CHECK_TEXT(a.password, cases[i].password);
		CHECK_TEXT(a.host, cases[i].host);
		CHECK_TEXT(a.vhost, cases[i].vhost);
		CHECK(a.port == cases[i].port && a.tls == cases[i].tls);
		kb_amqp_address_free(&a);
	}
}

static void reads_the_zone(void)
{
	struct kb_amqp_address a;
	const char *url = "zone=east;amqp://h";
	CHECK(!kb_amqp_address_parse(url, &a));
	CHECK(kb_slice_equal(a.zone, KB_SLICE_LITERAL("east")) && a.zone.p == url + 5);
	kb_amqp_address_free(&a);
	CHECK(!kb_amqp_address_parse("amqp://h", &a) && !a.zone.p);
	kb_amqp_address_free(&a);
}

static void refuses_what_is_no_address(void)
{
	static const char *const wrong[] = {"", "host", "http://h", "amqp:/h", "amqp:h", "kazoos://h", "zone=a;h", "zone=a",
		"amqp://h:port", "amqp://h:65536", "amqp://h:-1", "amqp://h:1x", "amqp://a:1:2", "amqp://[::1", "amqp://[]",
		"amqp://[::1]x", "amqp://h//", "amqp://h/a/b", "amqp://h%", "amqp://h/%0", "amqp://h/%zz", "amqp://h/%00",
		"amqp://h#f", "amqp://h/v#f", "amqp://u:secret%@h", "amqp://u:secret%zz@h", "amqp://%:secret@h",
		"amqp://u:sec/secret@h:x", "amqp://u:sec?secret@h", "amqp://u:1?heartbeat=secret@h", "amqp://u:sec#secret@h",
		"amqp://u:secret@h:99999999999999999999"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct kb_amqp_address a;
		const char *why = kb_amqp_address_parse(wrong[i], &a);
		CHECK(why && !a.copy && !strstr(why, "sec"));
		if (!why)
			fprintf(stderr, "%s was read\n", wrong[i]);
		kb_amqp_address_free(&a);
	}
}

static void prints_addresses(void)
{
	struct kb_amqp_address v4 = {.host = "10.0.0.1", .port = 5672}, v6 = {.host = "::1", .port = 1};
	char text[64];
	kb_amqp_address_print(&v4, text, sizeof text);
	CHECK_TEXT(text, "10.0.0.1:5672");
	kb_amqp_address_print(&v6, text, sizeof text);
	CHECK_TEXT(text, "[::1]:1");
}

/* What librabbitmq reads by chance: "% a" and "%+0" as a byte, %00 as the end of a part, the last of two ports. */
static bool is_read_by_chance(const char *url)
{
	char copy[40];
	const char *colon = strchr(url + strlen("amqp:"), ':');
	return !kb_amqp_percent_decode(strcpy(copy, url)) || (!strchr(url, '@') && colon && strchr(colon + 1, ':'));
}

static bool reads_alike(const char *url, const struct amqp_connection_info *info)
{
	struct kb_amqp_address a;
	const char *why = kb_amqp_address_parse(url, &a);
	bool alike = !why && strcmp(a.user, info->user) == 0 && strcmp(a.password, info->password) == 0 &&
				 strcmp(a.host, info->host) == 0 && a.port == info->port &&
				 strcmp(a.vhost, info->vhost[0] ? info->vhost : "/") == 0;
	if (!alike)
		fprintf(stderr, "%s: %s\n", url, why ? why : "read as another address");
	kb_amqp_address_free(&a);
	return alike;
}

/* The stock module has librabbitmq read its addresses. */
static void reads_what_the_library_reads(void)
{
	static const char parts[] = "aZ0%:@/.-_~!$&'()*+,;= \xc3\xa9";
	for (int i = 0; i < 300000; i++) {
		char url[40] = "amqp://", copy[40];
		size_t n = strlen(url), end = n + (size_t)rand() % 14;
		while (n < end)
			n += (size_t)snprintf(
				url + n, sizeof url - n, rand() % 12 ? "%c" : "%%%02X", parts[rand() % (int)(sizeof parts - 1)]);
		struct amqp_connection_info info;
		amqp_default_connection_info(&info);
		if (!is_read_by_chance(url) && amqp_parse_url(strcpy(copy, url), &info) == AMQP_STATUS_OK)
			CHECK(reads_alike(url, &info));
	}
}

/* -- the query -- */

static struct kb_amqp_address_options read_query(const char *query, char *text, bool tls)
{
	struct kb_amqp_address_options o;
	const char *why = kb_amqp_address_options_read(strcpy(text, query), tls, &o);
	CHECK_TEXT(why ? why : "", "");
	return o;
}

static void without_a_query_nothing_is_set(void)
{
	struct kb_amqp_address_options o;
	CHECK(!kb_amqp_address_options_read(NULL, true, &o));
	CHECK(o.heartbeat_s == -1 && !o.connect_timeout_ms && o.channel_max == -1 && !o.frame_max && !o.ca_file &&
		  !o.cert_file && !o.key_file && !o.key_password && !o.server_name && !o.any_name &&
		  o.verify == KB_AMQP_VERIFY_AS_SET && !o.n_mechanisms && !o.warning[0]);
}

static void reads_every_parameter(void)
{
	char text[400];
	struct kb_amqp_address_options o = read_query(
		"heartbeat=5&connection_timeout=10000&channel_max=40&frame_max=8192&cacertfile=/ca%26%3D.pem&certfile=/c.pem&"
		"keyfile=/k%20.pem&password=p%26w&verify=verify_peer&server_name_indication=myhost&auth_mechanism=EXTERNAL&"
		"auth_mechanism=plain",
		text, true);
	CHECK(o.heartbeat_s == 5 && o.connect_timeout_ms == 10000 && o.channel_max == 40 && o.frame_max == 8192);
	CHECK_TEXT(o.ca_file, "/ca&=.pem");
	CHECK_TEXT(o.cert_file, "/c.pem");
	CHECK_TEXT(o.key_file, "/k .pem");
	CHECK_TEXT(o.key_password, "p&w");
	CHECK_TEXT(o.server_name, "myhost");
	CHECK(o.verify == KB_AMQP_VERIFY_PEER && !o.any_name && o.n_mechanisms == 2);
	CHECK(o.mechanisms[0] == KB_AMQP_EXTERNAL && o.mechanisms[1] == KB_AMQP_PLAIN);
	CHECK_TEXT(o.warning, "");
}

static void the_last_of_several_counts(void)
{
	char text[100];
	struct kb_amqp_address_options o =
		read_query("&&heartbeat=5&heartbeat=0&&verify=verify_peer&verify=verify_none&", text, true);
	CHECK(o.heartbeat_s == 0 && o.verify == KB_AMQP_VERIFY_NONE && !o.warning[0]);
}

static void says_what_has_no_effect(void)
{
	char text[200];
	CHECK_TEXT(read_query("depth=3&heartbeat=1&x%20y", text, true).warning,
		"depth is not a known parameter and has no effect; x y is not a known parameter and has no effect");
	CHECK_TEXT(
		read_query("cacertfile=/a&channel_max=0", text, false).warning, "cacertfile has no effect without amqps://");
	CHECK(read_query("auth_mechanism=AMQPlain", text, false).mechanisms[0] == KB_AMQP_AMQPLAIN);
	CHECK(read_query("server_name_indication=disable", text, true).any_name);
	char many[3000] = "a=1";
	for (int i = 0; i < 300; i++)
		strcat(many, "&b%41=1");
	struct kb_amqp_address_options o;
	CHECK(!kb_amqp_address_options_read(many, true, &o) && strlen(o.warning) < sizeof o.warning);
}

static void refuses_wrong_values(void)
{
	static const char *const cases[][2] = {
		{"heartbeat=x", "heartbeat: \"x\" must be a number from 0 to 65535"},
		{"heartbeat=-1", "heartbeat: \"-1\" must be a number from 0 to 65535"},
		{"heartbeat=65536", "heartbeat: \"65536\" must be a number from 0 to 65535"},
		{"heartbeat", "heartbeat: \"\" must be a number from 0 to 65535"},
		{"connection_timeout=0", "connection_timeout: \"0\" must be a number from 1 to 3600000"},
		{"connection_timeout=5s", "connection_timeout: \"5s\" must be a number from 1 to 3600000"},
		{"channel_max=65536", "channel_max: \"65536\" must be a number from 0 to 65535"},
		{"frame_max=4095", "frame_max: \"4095\" must be a number from 4096 to 2147483647"},
		{"cacertfile=", "cacertfile: \"\" must be the path of a file"},
		{"verify=peer", "verify: \"peer\" must be verify_peer or verify_none"},
		{"server_name_indication=", "server_name_indication: \"\" must be a host name, or \"disable\""},
		{"auth_mechanism=gssapi", "auth_mechanism: \"gssapi\" must be plain, external or amqplain"},
		{"password=%", "the query has a % that two hexadecimal digits other than 00 do not follow"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char url[200];
		struct kb_amqp_address a;
		snprintf(url, sizeof url, "amqps://u:secret@h/v?password=secret&%s", cases[i][0]);
		const char *why = kb_amqp_address_parse(url, &a);
		CHECK_TEXT(why ? why : "read", cases[i][1]);
		kb_amqp_address_free(&a);
	}
}

/* -- instead of the configuration -- */

static struct kb_tls_options tls_of(const char *query, const struct kb_tls_options *all, struct kb_amqp_address *a)
{
	char url[200];
	snprintf(url, sizeof url, "amqps://h?%s", query);
	CHECK(!kb_amqp_address_parse(url, a));
	return kb_amqp_address_tls(a, all);
}

static void an_address_has_tls_options_of_its_own(void)
{
	const struct kb_tls_options all = {.ca_file = "/ca",
		.cert_file = "/cert",
		.key_file = "/key",
		.any_name = true,
		.ca_name = "ca",
		.cert_name = "cert",
		.key_name = "key"};
	struct kb_amqp_address a;
	struct kb_tls_options tls = tls_of("", &all, &a);
	CHECK(memcmp(&tls, &all, sizeof all) == 0);
	kb_amqp_address_free(&a);

	tls = tls_of("cacertfile=/1&certfile=/2&verify=verify_none", &all, &a);
	CHECK_TEXT(tls.ca_file, "/1");
	CHECK_TEXT(tls.ca_name, "cacertfile");
	CHECK_TEXT(tls.cert_file, "/2");
	CHECK(!tls.key_file && tls.any_peer && tls.any_name);
	kb_amqp_address_free(&a);

	tls = tls_of("keyfile=/3&password=p&server_name_indication=n", &all, &a);
	CHECK_TEXT(tls.cert_file, "/cert");
	CHECK_TEXT(tls.key_file, "/3");
	CHECK_TEXT(tls.key_name, "keyfile");
	CHECK_TEXT(tls.key_password, "p");
	CHECK_TEXT(tls.expected_name, "n");
	CHECK(!tls.any_name && !tls.any_peer);
	kb_amqp_address_free(&a);

	const struct kb_tls_options none = {.any_peer = true};
	tls = tls_of("verify=verify_peer&server_name_indication=disable", &none, &a);
	CHECK(!tls.any_peer && tls.any_name && !tls.expected_name);
	kb_amqp_address_free(&a);
}

static void says_as_whom(void)
{
	static const char *const cases[][2] = {{"amqp://u:p@h", "user u"}, {"amqp://h", "user guest"},
		{"amqps://h?auth_mechanism=external", "the user of its certificate"},
		{"amqps://h?auth_mechanism=external&auth_mechanism=plain", "the user of its certificate or guest"},
		{"amqps://u@h?auth_mechanism=external", "user u"}, {"amqps://h?auth_mechanism=plain", "user guest"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct kb_amqp_address a;
		CHECK(!kb_amqp_address_parse(cases[i][0], &a));
		CHECK_TEXT(kb_amqp_address_login(&a), cases[i][1]);
		kb_amqp_address_free(&a);
	}
}

int main(void)
{
	decodes();
	every_byte_can_be_in_each_part();
	reads_addresses();
	reads_the_zone();
	refuses_what_is_no_address();
	prints_addresses();
	reads_what_the_library_reads();
	without_a_query_nothing_is_set();
	reads_every_parameter();
	the_last_of_several_counts();
	says_what_has_no_effect();
	refuses_wrong_values();
	an_address_has_tls_options_of_its_own();
	says_as_whom();
	return check_failures != 0;
}
