/* nats/servers: in which order servers are tried, and which are. */
#include "nats/servers.h"

#include "check.h"

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static void goes_round(void)
{
	static const char *const urls[] = {"nats://u:p@a", "b:2"};
	struct kb_nats_servers s;
	const char *what;
	size_t bad;
	CHECK(kb_nats_servers_init(&s, urls, 2, &bad, &what));
	CHECK(same(kb_nats_servers_next(&s)->host, "a"));
	kb_nats_servers_announced(
		&s, KB_SLICE_LITERAL("[\"nats://b:2\",\"c:3\",\"not an address\",7,\"tls://d:4\"]"), &s.list[0], false);
	CHECK(s.n == 4);
	CHECK(same(kb_nats_servers_next(&s)->host, "b"));
	const struct kb_nats_server *c = kb_nats_servers_next(&s);
	CHECK(same(c->host, "c") && same(c->user, "u") && same(c->password, "p"));
	const struct kb_nats_server *d = kb_nats_servers_next(&s);
	CHECK(same(d->host, "d") && !d->tls);
	kb_nats_servers_announced(&s, KB_SLICE_LITERAL("[\"c:3\"]"), d, false); /* of the one that goes */
	CHECK(s.n == 3 && same(s.list[2].user, "u"));
	CHECK(same(kb_nats_servers_next(&s)->host, "a"));
	kb_nats_servers_announced(&s, kb_slice(NULL, 0), &s.list[1], false);
	CHECK(s.n == 2);
	kb_nats_servers_free(&s);
}

/* With TLS: an announced address has to be whoever announced it, and a name counts only where it is worth something. */
static void announcements_do_not_weaken_tls(void)
{
	static const char *const urls[] = {"tls://t0ken@nats.example.com", "tls://10.0.0.1"};
	struct kb_slice array = KB_SLICE_LITERAL("[\"10.0.0.2\",\"evil.example.net\",\"[::1]:5\",\"nats.example.com:6\"]");
	struct kb_nats_servers s;
	const char *what;
	size_t bad;
	CHECK(kb_nats_servers_init(&s, urls, 2, &bad, &what));
	kb_nats_servers_announced(&s, array, &s.list[0], false);
	CHECK(s.n == 5 && same(s.list[2].host, "10.0.0.2") && same(s.list[2].known_as, "nats.example.com"));
	CHECK(s.list[2].tls && same(s.list[2].user, "t0ken"));
	CHECK(same(s.list[3].host, "::1") && same(s.list[3].known_as, "nats.example.com"));
	CHECK(same(s.list[4].host, "nats.example.com") && !s.list[4].known_as && s.list[4].tls);
	kb_nats_servers_announced(&s, KB_SLICE_LITERAL("[\"10.0.0.3\",\"nats.example.com:7\"]"), &s.list[2], false);
	CHECK(s.n == 4 && same(s.list[2].known_as, "nats.example.com") && s.list[3].port == 7);
	kb_nats_servers_announced(&s, array, &s.list[1], false); /* anybody could get a certificate for his address, too */
	CHECK(s.n == 2);
	kb_nats_servers_announced(&s, array, &s.list[1], true);
	CHECK(s.n == 6 && !s.list[2].known_as && same(s.list[3].host, "evil.example.net"));
	kb_nats_servers_free(&s);
}

static void knows_whether_there_is_another(void)
{
	static const char *const one[] = {"a:1"}, *const twice[] = {"u:p@a:1", "a:1"}, *const two[] = {"a:1", "b:1"};
	static const char *const secure[] = {"tls://a:1"};
	struct kb_slice same_one = KB_SLICE_LITERAL("[\"a:1\",\"not an address\",7]"), more = KB_SLICE_LITERAL("[\"a:2\"]");
	struct kb_nats_servers s;
	const char *what;
	size_t bad;
	CHECK(kb_nats_servers_init(&s, one, 1, &bad, &what));
	CHECK(!kb_nats_servers_others(&s, &s.list[0], kb_slice(NULL, 0), false));
	CHECK(!kb_nats_servers_others(&s, &s.list[0], same_one, false) &&
		  kb_nats_servers_others(&s, &s.list[0], more, false));
	kb_nats_servers_free(&s);
	CHECK(kb_nats_servers_init(&s, secure, 1, &bad, &what));
	CHECK(!kb_nats_servers_others(&s, &s.list[0], KB_SLICE_LITERAL("[\"b:1\"]"), false)); /* it would not be tried */
	CHECK(kb_nats_servers_others(&s, &s.list[0], KB_SLICE_LITERAL("[\"b:1\"]"), true));
	kb_nats_servers_free(&s);
	CHECK(kb_nats_servers_init(&s, twice, 2, &bad, &what) && !kb_nats_servers_others(&s, &s.list[0], same_one, false));
	kb_nats_servers_free(&s);
	CHECK(kb_nats_servers_init(&s, two, 2, &bad, &what) && kb_nats_servers_others(&s, &s.list[0], same_one, false));
	kb_nats_servers_free(&s);
}

static void names_the_bad_one(void)
{
	static const char *const urls[] = {"a", "b:b"};
	struct kb_nats_servers s;
	const char *what;
	size_t bad = 9;
	CHECK(!kb_nats_servers_init(&s, urls, 2, &bad, &what) && bad == 1);
	kb_nats_servers_free(&s);
	CHECK(!kb_nats_servers_init(&s, urls, 0, &bad, &what));
	kb_nats_servers_free(&s);
}

int main(void)
{
	goes_round();
	announcements_do_not_weaken_tls();
	knows_whether_there_is_another();
	names_the_bad_one();
	return check_failures ? 1 : 0;
}
