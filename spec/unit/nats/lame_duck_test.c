/* nats/lame_duck: when a server that is about to close is left. */
#include "nats/lame_duck.h"

#include "nats/broker.h"
#include "nats/subscriptions.h"
#include "check.h"

enum { NOW = 50000, WITHIN_MS = 5000, LEAVING_MS = 1000 };

static const char *const routing[] = {"foo"};
static const char *const urls[] = {"nats://a:1", "nats://b:1"};

struct scene {
	struct kb_broker *b;
	int lame_ducks, blocked;
};

static void on_notice(void *context, const char *name)
{
	struct scene *s = context;
	s->lame_ducks += strcmp(name, "lame-duck") == 0;
}

static void on_blocked(void *context, bool blocked, const char *reason)
{
	struct scene *s = context;
	s->blocked += blocked && strcmp(reason, "lame duck mode") == 0;
}

/* On a connection to the first of so many servers, which says that it is about to close. */
static void begin(struct scene *s, size_t servers)
{
	struct kb_broker_config config = {.urls = urls, .n_urls = servers, .client_name = "test", .confirm = true};
	struct kb_broker_events events = {.context = s, .notice = on_notice, .blocked = on_blocked};
	size_t bad;
	*s = (struct scene){.b = kb_nats.open(&config, &events, &bad)};
	s->b->server = kb_nats_servers_next(&s->b->servers);
	s->b->link.up = true;
	s->b->link.info.lame_duck = true;
}

static void end(struct scene *s)
{
	kb_nats.close(s->b);
}

static bool sent(const struct scene *s, const char *text)
{
	return memmem(s->b->link.out.p, s->b->link.out.n, text, strlen(text));
}

static void it_is_noted_once(void)
{
	struct scene s;
	begin(&s, 2);
	kb_nats_lame_duck_note(s.b, NOW);
	int64_t leave_at = s.b->leave_at;
	CHECK(s.lame_ducks == 1 && leave_at >= NOW && leave_at < NOW + WITHIN_MS);
	kb_nats_lame_duck_note(s.b, NOW + 1);
	CHECK(s.lame_ducks == 1 && s.b->leave_at == leave_at && !s.b->leave_by && !s.blocked);
	end(&s);
}

static void an_info_that_says_nothing_of_it_changes_nothing(void)
{
	struct scene s;
	begin(&s, 2);
	s.b->link.info.lame_duck = false;
	kb_nats_lame_duck_note(s.b, NOW);
	CHECK(!s.lame_ducks && !s.b->leave_at);
	end(&s);
}

static void the_only_server_is_kept_to_its_end(void)
{
	struct scene s;
	begin(&s, 1);
	kb_nats_lame_duck_note(s.b, NOW);
	CHECK(s.lame_ducks == 1 && !s.b->leave_at);
	end(&s);
}

static void clients_leave_at_different_moments(void)
{
	bool differ = false;
	int64_t first = 0;
	for (int i = 0; i < 20; i++) {
		struct scene s;
		begin(&s, 2);
		kb_nats_lame_duck_note(s.b, NOW);
		first = i ? first : s.b->leave_at;
		differ = differ || s.b->leave_at != first;
		end(&s);
	}
	CHECK(differ);
}

static void nothing_more_is_asked_for_from_that_moment_on(void)
{
	static const struct kb_subscription foo = {.routing = routing, .n_routing = 1, .queue.name = ""};
	struct scene s;
	begin(&s, 2);
	s.b->link.mute = true; /* there is no socket */
	CHECK(kb_nats_subscriptions_add(s.b, &foo, 0) == KB_BROKER_OK);
	s.b->link.mute = false;
	kb_nats_lame_duck_note(s.b, NOW);
	kb_nats_lame_duck_tick(s.b, s.b->leave_at - 1);
	CHECK(!s.b->leave_by && !s.b->link.out.n);
	kb_nats_lame_duck_tick(s.b, s.b->leave_at);
	CHECK(s.b->leave_by == s.b->leave_at + LEAVING_MS && s.blocked == 1);
	CHECK(sent(&s, "UNSUB 1\r\n") && sent(&s, "PING\r\n"));
	end(&s);
}

static void it_is_left_when_nothing_is_in_flight_or_the_time_is_over(void)
{
	struct scene s;
	begin(&s, 2);
	kb_nats_lame_duck_note(s.b, NOW);
	kb_nats_receipts_number(&s.b->receipts); /* a message that the server has not read */
	kb_nats_lame_duck_tick(s.b, s.b->leave_at);
	int64_t began = s.b->leave_at;
	CHECK(!kb_nats_lame_duck_may_leave(s.b, began) && s.b->link.pings == 2);
	CHECK(kb_nats_lame_duck_may_leave(s.b, began + LEAVING_MS));
	s.b->held = true; /* a delivery waits for room */
	CHECK(!kb_nats_lame_duck_may_leave(s.b, began + LEAVING_MS));
	s.b->held = false;
	kb_nats_link_note_pong(&s.b->link);
	kb_nats_link_note_pong(&s.b->link);
	CHECK(!kb_nats_lame_duck_may_leave(s.b, began));
	kb_nats_receipts_forget(&s.b->receipts);
	CHECK(kb_nats_lame_duck_may_leave(s.b, began));
	end(&s);
}

static void no_log(enum kb_log_level level, const char *line)
{
	(void)level, (void)line;
}

int main(void)
{
	kb_log_set_sink(no_log);
	it_is_noted_once();
	an_info_that_says_nothing_of_it_changes_nothing();
	the_only_server_is_kept_to_its_end();
	clients_leave_at_different_moments();
	nothing_more_is_asked_for_from_that_moment_on();
	it_is_left_when_nothing_is_in_flight_or_the_time_is_over();
	return check_failures ? 1 : 0;
}
