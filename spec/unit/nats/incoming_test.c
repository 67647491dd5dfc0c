/* nats/incoming: what is said to a server, and made of its words, without a server. */
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "nats/broker.h"
#include "nats/state.h"
#include "check.h"

static const char *const urls[] = {"nats://localhost:4222"};

struct scene {
	struct kb_broker *b;
	int server; /* the other end of the connection */
	int delivered, requeued;
	bool (*route)(struct scene *s, const struct kb_message *m);
};

static bool on_delivered(void *context, const struct kb_message *m)
{
	struct scene *s = context;
	s->delivered++;
	return !s->route || s->route(s, m);
}

static void on_requeue(void *context, enum kb_requeue_cause cause, const char *reason)
{
	struct scene *s = context;
	s->requeued += cause == KB_OFFENDED && reason;
}

static void begin(struct scene *s)
{
	static const struct kb_broker_config config = {
		.urls = urls, .n_urls = 1, .client_name = "test", .message_max = 1024, .confirm = true};
	struct kb_broker_events events = {.context = s, .publish.requeue = on_requeue, .consume.delivered = on_delivered};
	int ends[2];
	size_t bad;
	*s = (struct scene){.b = kb_nats.open(&config, &events, &bad)};
	CHECK(s->b && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	s->b->server = kb_nats_servers_next(&s->b->servers);
	s->b->link.tcp = ends[0];
	s->b->link.open = s->b->link.up = s->b->link.info.headers = true;
	s->b->generation = 1;
	s->server = ends[1];
}

static void end(struct scene *s)
{
	close(s->server);
	kb_nats.close(s->b);
}

static void subscribe(struct scene *s, const struct kb_subscription *subscription)
{
	CHECK(kb_nats.consume->subscribe(s->b, subscription, 0) == KB_BROKER_OK);
}

static void say(struct scene *s, const char *text)
{
	CHECK(write(s->server, text, strlen(text)) == (ssize_t)strlen(text));
	kb_nats.process(s->b, 100);
}

/* True when the server hears `text` among what is said within `ms`, or was said before. */
static bool hears(struct scene *s, const char *text, int ms)
{
	char heard[4096];
	size_t n = 0;
	struct pollfd p = {s->server, POLLIN, 0};
	while (n < sizeof heard - 1 && poll(&p, 1, ms) > 0) {
		ssize_t more = read(s->server, heard + n, sizeof heard - 1 - n);
		if (more <= 0)
			break;
		n += (size_t)more;
		heard[n] = '\0';
		if (strstr(heard, text))
			return true;
	}
	return false;
}

/* -- acknowledgements -- */

static const struct kb_durable durable = {.stream = "S", .name = "C"};
static const struct kb_subscription of_stream = {
	.queue = {.name = "C"}, .exchange = {.name = "S"}, .durable = &durable};

#define STORED(n) "MSG s 1 $JS.ACK.S.C.1." #n "." #n ".1.0 1\r\nx\r\n"
#define VERDICT(n, said, size) "PUB $JS.ACK.S.C.1." #n "." #n ".1.0 " #size "\r\n" said "\r\n"

static bool slow_third(struct scene *s, const struct kb_message *m)
{
	if (s->delivered == 3)
		CHECK(hears(s, VERDICT(1, "+ACK", 4) VERDICT(2, "+ACK", 4), 10000));
	return kb_nats.consume->settle(s->b, &m->origin, KB_DONE) == KB_BROKER_OK;
}

static void acknowledgements_do_not_wait_for_a_slow_route(void)
{
	struct scene s;
	begin(&s);
	subscribe(&s, &of_stream);
	s.route = slow_third;
	say(&s, STORED(1) STORED(2) STORED(3));
	CHECK(s.delivered == 3 && hears(&s, VERDICT(3, "+ACK", 4), 10000));
	say(&s, STORED(4));
	CHECK(hears(&s, VERDICT(4, "+ACK", 4), 10000));
	end(&s);
}

static bool says_a_word_first(struct scene *s, const struct kb_message *m)
{
	if (s->delivered == 1) {
		CHECK(kb_nats.consume->progress(s->b, &m->origin) == KB_BROKER_OK && hears(s, VERDICT(1, "+WPI", 4), 0));
		CHECK(kb_nats.consume->settle_now(s->b, &m->origin, KB_DONE, 0) == KB_BROKER_OK &&
			  hears(s, VERDICT(1, "+ACK", 4), 0));
	} else if (s->delivered == 2) {
		CHECK(kb_nats.consume->settle(s->b, &m->origin, KB_DONE) == KB_BROKER_OK);
	} else {
		CHECK(kb_nats.consume->settle_now(s->b, &m->origin, KB_REQUEUE, 7) == KB_BROKER_OK);
		CHECK(hears(s, VERDICT(3, "-NAK {\"delay\":7000000}", 22), 0));
	}
	return true;
}

static void what_a_route_says_is_said_at_once(void)
{
	struct scene s;
	begin(&s);
	subscribe(&s, &of_stream);
	s.route = says_a_word_first;
	say(&s, STORED(1) STORED(2) STORED(3));
	CHECK(s.delivered == 3);
	end(&s);
}

static bool slow_now_and_then(struct scene *s, const struct kb_message *m)
{
	if (s->delivered % 20 == 0)
		usleep((KB_NATS_WRITER_MS + 2) * 1000);
	if (s->delivered % 7 == 0)
		return kb_nats.consume->settle_now(s->b, &m->origin, KB_DONE, 0) == KB_BROKER_OK;
	return kb_nats.consume->settle(s->b, &m->origin, KB_DONE) == KB_BROKER_OK;
}

/* Counts acknowledgements that come in their order, and forgets what it has read of `heard` whole lines of. */
static int count_acknowledged(struct scene *s, struct kb_buf *heard, int n)
{
	char *to = kb_buf_reserve(heard, 64 * 1024), *line;
	int number;
	ssize_t more = recv(s->server, to, 64 * 1024 - 1, MSG_DONTWAIT);
	heard->n += more > 0 ? (size_t)more : 0;
	heard->p[heard->n] = '\0';
	line = heard->p;
	for (char *end; (end = strchr(line, '\n')); line = end + 1)
		if (sscanf(line, "PUB $JS.ACK.S.C.1.%d.", &number) == 1)
			CHECK(number == ++n);
	kb_buf_consume(heard, (size_t)(line - heard->p));
	return n;
}

/* Whichever thread writes them. */
static void acknowledgements_keep_their_order(void)
{
	enum { N = 1000 };
	char text[100];
	struct scene s;
	struct kb_buf heard = {0};
	int acknowledged = 0;
	begin(&s);
	subscribe(&s, &of_stream);
	s.route = slow_now_and_then;
	for (int i = 1; i <= N; i++) {
		snprintf(text, sizeof text, "MSG s 1 $JS.ACK.S.C.1.%d.%d.1.0 1\r\nx\r\n", i, i);
		CHECK(write(s.server, text, strlen(text)) == (ssize_t)strlen(text));
		if (i % 100 == 0) {
			kb_nats.process(s.b, N);
			acknowledged = count_acknowledged(&s, &heard, acknowledged);
		}
	}
	CHECK(s.delivered == N && acknowledged == N);
	kb_buf_free(&heard);
	end(&s);
}

/* -- errors -- */

static const char *const offences[] = {
	"maximum control line exceeded", "Maximum Payload Violation", "Unknown Protocol Operation"};

static void what_may_be_the_fault_of_a_message_has_those_on_their_way_sent_again(void)
{
	for (size_t i = 0; i < sizeof offences / sizeof *offences; i++) {
		struct scene s;
		struct kb_message m = {.key = KB_SLICE_LITERAL("a"), .payload = KB_SLICE_LITERAL("x")};
		uint64_t sequence;
		char text[100];
		begin(&s);
		CHECK(kb_nats.publish->publish(s.b, &m, &sequence) == KB_BROKER_OK && sequence == 1);
		say(&s, "-ERR 'maximum subscriptions exceeded'\r\n-ERR 'Permissions Violation for Publish to \"b\"'\r\n");
		CHECK(s.requeued == 0);
		snprintf(text, sizeof text, "-ERR '%s'\r\n", offences[i]);
		say(&s, text);
		CHECK(s.requeued == 1);
		end(&s);
	}
}

/* However long the subject is that they name. */
static void a_refused_subscription_is_known_by_the_servers_words(void)
{
	char subject[600], text[700];
	const char *routing = subject;
	struct kb_subscription s1 = {.routing = &routing, .n_routing = 1, .queue = {.name = "q"}, .no_ack = true};
	struct scene s;
	memset(subject, 'x', sizeof subject - 1);
	subject[sizeof subject - 1] = '\0';
	begin(&s);
	subscribe(&s, &s1);
	snprintf(
		text, sizeof text, "-ERR 'Permissions Violation for Subscription to \"%s.y\" using queue \"q\"'\r\n", subject);
	say(&s, text);
	CHECK(!s.b->refused && !s.b->subscriptions[0].retry_at);
	snprintf(
		text, sizeof text, "-ERR 'Permissions Violation for Subscription to \"%s\" using queue \"q\"'\r\n", subject);
	say(&s, text);
	CHECK(s.b->refused && s.b->subscriptions[0].retry_at);
	end(&s);
}

static void an_error_is_the_reason_of_an_end_that_follows_at_once(void)
{
	for (int passed_ms = 0; passed_ms < 100000; passed_ms += 60000) {
		struct scene s;
		begin(&s);
		say(&s, "-ERR 'maximum subscriptions exceeded'\r\nPING\r\n");
		CHECK(s.b->link.up);
		s.b->link.said_at -= passed_ms;
		shutdown(s.server, SHUT_RDWR);
		CHECK(kb_nats.process(s.b, 100) == KB_BROKER_LOST);
		CHECK_TEXT(s.b->link.why, passed_ms ? "closed by the server" : "maximum subscriptions exceeded");
		end(&s);
	}
}

static void long_headers_do_not_keep_their_memory(void)
{
	enum { LONG = 100 * 1024, HEADERS = sizeof "NATS/1.0\r\nA: \r\n\r\n" - 1 + LONG };
	static const char *const foo = "foo";
	static const struct kb_subscription s1 = {.routing = &foo, .n_routing = 1, .queue.name = ""};
	static char text[LONG + 200];
	struct scene s;
	begin(&s);
	subscribe(&s, &s1);
	snprintf(text, sizeof text, "HMSG foo 1 %d %d\r\nNATS/1.0\r\nA: %0*d\r\n\r\nx\r\n", HEADERS, HEADERS + 1, LONG, 7);
	say(&s, text);
	CHECK(s.delivered == 1 && s.b->headers.n > LONG);
	say(&s, "HMSG foo 1 18 19\r\nNATS/1.0\r\nA: b\r\n\r\nx\r\n");
	CHECK(s.delivered == 2 && s.b->headers.n && s.b->headers.capacity < LONG);
	end(&s);
}

static void no_log(enum kb_log_level level, const char *line)
{
	(void)level, (void)line;
}

int main(void)
{
	kb_log_set_sink(no_log);
	acknowledgements_do_not_wait_for_a_slow_route();
	what_a_route_says_is_said_at_once();
	acknowledgements_keep_their_order();
	what_may_be_the_fault_of_a_message_has_those_on_their_way_sent_again();
	a_refused_subscription_is_known_by_the_servers_words();
	an_error_is_the_reason_of_an_end_that_follows_at_once();
	long_headers_do_not_keep_their_memory();
	return check_failures ? 1 : 0;
}
