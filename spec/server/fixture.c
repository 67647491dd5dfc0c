#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "nats/state.h"
#include "nats/options.h"

int fixture_failures;

static void sleep_ms(int ms)
{
	poll(NULL, 0, ms);
}

static void give_up(const char *why)
{
	fprintf(stderr, "%s\n", why);
	exit(1);
}

/* -- log -- */

static struct kb_buf lines;

static void collect(enum kb_log_level level, const char *line)
{
	(void)level;
	kb_buf_printf(&lines, "%s\n", line);
}

void fixture_catch_log(void)
{
	kb_log_set_sink(collect);
}

bool fixture_logged(const char *text)
{
	return lines.n && memmem(lines.p, lines.n, text, strlen(text));
}

void fixture_forget_log(void)
{
	kb_buf_free(&lines);
	lines = (struct kb_buf){0};
}

/* -- servers -- */

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int fixture_free_port(void)
{
	struct sockaddr_in address = loopback(0);
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, (void *)&address, size) < 0 || getsockname(fd, (void *)&address, &size) < 0)
		give_up("no free port on 127.0.0.1");
	close(fd);
	return ntohs(address.sin_port);
}

static bool answers(int port)
{
	char info[4];
	struct sockaddr_in address = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool yes = connect(fd, (void *)&address, sizeof address) == 0 && recv(fd, info, sizeof info, MSG_WAITALL) == 4 &&
			   memcmp(info, "INFO", 4) == 0;
	close(fd);
	return yes;
}

/* The JSON object of the line that a server begins with; empty when there is none. */
static struct kb_slice info_of(int port, char *line, size_t size)
{
	struct sockaddr_in address = loopback(port);
	size_t n = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (void *)&address, sizeof address) == 0)
		while (n < size && (n == 0 || line[n - 1] != '\n') && recv(fd, line + n, 1, 0) == 1)
			n++;
	close(fd);
	return n > 7 ? kb_slice(line + 5, n - 7) : kb_slice(NULL, 0);
}

bool fixture_await_announced(const struct fixture_server *s, size_t servers)
{
	char line[4096];
	int64_t until = kb_clock_ms() + SOON_MS;
	do {
		struct kb_slice info = info_of(s->port, line, sizeof line);
		if (info.n && kb_json_count(kb_json_member(info, KB_SLICE_LITERAL("connect_urls"))) >= servers)
			return true;
		sleep_ms(10);
	} while (kb_clock_ms() < until);
	return false;
}

static void write_config(const struct fixture_server *s, char *path, size_t size)
{
	snprintf(path, size, "/tmp/kemibus-nats-%d-%d.conf", (int)getpid(), s->port);
	FILE *f = fopen(path, "w");
	if (!f || fprintf(f, "listen: 127.0.0.1:%d\n%s\n", s->port, s->config) < 0 || fclose(f) != 0)
		give_up("cannot write the server's configuration to /tmp");
}

static void become_server(const char *path)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* it must not outlive a test that fails */
	execlp("nats-server", "nats-server", "-c", path, "-l", "/dev/null", (char *)NULL);
	execl("/usr/sbin/nats-server", "nats-server", "-c", path, "-l", "/dev/null", (char *)NULL);
	fprintf(stderr, "nats-server is missing: apt-get install nats-server\n");
	_exit(127);
}

void fixture_restart(struct fixture_server *s)
{
	char path[100];
	write_config(s, path, sizeof path);
	s->pid = fork();
	if (s->pid == 0)
		become_server(path);
	for (int i = 0; i < SOON_MS / 10 && !answers(s->port); i++) {
		if (waitpid(s->pid, NULL, WNOHANG) == s->pid)
			give_up("nats-server did not start");
		sleep_ms(10);
	}
	unlink(path);
}

void fixture_start(struct fixture_server *s, const char *config)
{
	*s = (struct fixture_server){.port = fixture_free_port(), .config = config};
	snprintf(s->url, sizeof s->url, "nats://127.0.0.1:%d", s->port);
	fixture_restart(s);
}

void fixture_kill(struct fixture_server *s)
{
	if (s->pid <= 0)
		return;
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

void fixture_freeze(struct fixture_server *s)
{
	kill(s->pid, SIGSTOP);
}

void fixture_thaw(struct fixture_server *s)
{
	kill(s->pid, SIGCONT);
}

static void send_all(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
		if (sent <= 0)
			give_up("the server does not listen to a plain client");
		bytes += sent;
		n -= (size_t)sent;
	}
}

void fixture_say(const struct fixture_server *s, const void *bytes, size_t n)
{
	static const char hello[] = "CONNECT {\"verbose\":false,\"headers\":true}\r\n";
	char ignored[4096];
	struct sockaddr_in address = loopback(s->port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (void *)&address, sizeof address) < 0)
		give_up("cannot connect to the server");
	send_all(fd, hello, sizeof hello - 1);
	send_all(fd, bytes, n);
	shutdown(fd, SHUT_WR);
	while (recv(fd, ignored, sizeof ignored, 0) > 0)
		;
	close(fd);
}

/* -- clients -- */

static void keep(char **to, struct kb_slice s)
{
	free(*to);
	*to = calloc(1, s.n + 1);
	if (s.n)
		memcpy(*to, s.p, s.n);
}

static void keep_headers(char **to, struct kb_slice rest)
{
	struct kb_buf text = {0};
	struct kb_slice name, value;
	while (kb_headers_next(&rest, &name, &value)) {
		kb_buf_append_slice(&text, name);
		kb_buf_append_byte(&text, '=');
		kb_buf_append_slice(&text, value);
		kb_buf_append_byte(&text, ';');
	}
	keep(to, kb_buf_slice(&text));
	kb_buf_free(&text);
}

static bool on_delivered(void *context, const struct kb_message *m)
{
	struct fixture_client *c = context;
	c->offers++;
	if (c->n >= c->room)
		return false;
	c->n++;
	c->subscription = m->origin.subscription;
	c->payload_size = m->payload.n;
	keep(&c->subject, m->key);
	keep(&c->reply, m->reply);
	keep(&c->payload, m->payload);
	keep_headers(&c->headers, m->headers);
	c->expected += c->payload[0] && strtoull(c->payload, NULL, 10) == c->expected;
	return true;
}

static void on_settled(void *context, uint64_t sequence, bool multiple, enum kb_outcome outcome, const char *reason)
{
	(void)context;
	(void)sequence;
	(void)multiple;
	(void)outcome;
	(void)reason;
	give_up("settled() without a sequence");
}

void fixture_open(struct fixture_client *c, const char *const *urls, size_t n_urls, int heartbeat_s)
{
	static const struct kb_nats_options options = {.pings_out_max = 2};
	size_t bad;
	*c = (struct fixture_client){.api = &kb_nats, .room = SIZE_MAX};
	struct kb_broker_config config = {.urls = urls,
		.n_urls = n_urls,
		.client_name = "a \"quoted\\name\"",
		.role = KB_ROLE_PUBLISH | KB_ROLE_CONSUME,
		.connect_timeout_ms = 2000,
		.heartbeat_s = heartbeat_s,
		.message_max = 16 * 1024 * 1024,
		.options = &options};
	struct kb_broker_events events = {.context = c, .publish.settled = on_settled, .consume.delivered = on_delivered};
	c->broker = c->api->open(&config, &events, &bad);
	if (!c->broker)
		give_up("open() refused the addresses of the test");
}

void fixture_close(struct fixture_client *c)
{
	c->api->close(c->broker);
	free(c->subject);
	free(c->reply);
	free(c->headers);
	free(c->payload);
}

enum kb_broker_result fixture_subscribe(
	struct fixture_client *c, struct kb_subscription *s, const char *const *subject, const char *group, uint32_t index)
{
	*s = (struct kb_subscription){.routing = subject,
		.n_routing = 1,
		.queue = {.name = group},
		.exchange = {.name = "", .type = ""},
		.no_ack = true,
		.event_key = "",
		.event_subkey = ""};
	return c->api->consume->subscribe(c->broker, s, index);
}

enum kb_broker_result fixture_publish(struct fixture_client *c, const char *subject, const char *payload, size_t n)
{
	uint64_t sequence = 1;
	struct kb_message m = {.key = kb_slice_from(subject), .payload = kb_slice(payload, n)};
	enum kb_broker_result result = c->api->publish->publish(c->broker, &m, &sequence);
	CHECK(result != KB_BROKER_OK || sequence == 0);
	return result;
}

static enum kb_broker_result poll_and_process(struct fixture_client *c, int64_t until, bool wait)
{
	int64_t left = until - kb_clock_ms();
	int timeout = c->api->poll_timeout_ms(c->broker);
	struct pollfd fd = {c->api->poll_fd(c->broker), c->api->poll_events(c->broker), 0};
	if (timeout < 0 || timeout > left)
		timeout = left > 0 ? (int)left : 0;
	poll(&fd, 1, wait ? timeout : 0);
	return c->api->process(c->broker, 64);
}

void fixture_connect(
	struct fixture_client *c, struct kb_subscription *s, const char *const *url, const char *const *subject)
{
	fixture_open(c, url, 1, 0);
	CHECK(c->api->connect(c->broker) == KB_BROKER_OK);
	CHECK(fixture_subscribe(c, s, subject, "", 7) == KB_BROKER_OK);
}

static bool has_taken(struct fixture_client *c, const void *n)
{
	return c->n >= *(const size_t *)n;
}

static bool has_logged(struct fixture_client *c, const void *text)
{
	(void)c;
	return fixture_logged(text);
}

static bool has_its_pongs(struct fixture_client *c, const void *unused)
{
	(void)unused;
	return !kb_nats_link_awaits_pong(&c->broker->link);
}

static bool never(struct fixture_client *c, const void *unused)
{
	(void)c, (void)unused;
	return false;
}

/* Until `is_so`, the connection is lost, or `ms` are over. */
static enum kb_broker_result process_until(
	struct fixture_client *c, bool (*is_so)(struct fixture_client *c, const void *what), const void *what, int ms)
{
	int64_t until = kb_clock_ms() + ms;
	enum kb_broker_result result = KB_BROKER_AGAIN;
	while (!is_so(c, what) && result != KB_BROKER_LOST && kb_clock_ms() < until)
		result = poll_and_process(c, until, result == KB_BROKER_OK);
	return result;
}

bool fixture_wait(struct fixture_client *c, size_t n)
{
	process_until(c, has_taken, &n, SOON_MS);
	return c->n >= n;
}

bool fixture_wait_lost(struct fixture_client *c)
{
	return process_until(c, never, NULL, SOON_MS) == KB_BROKER_LOST;
}

bool fixture_wait_logged(struct fixture_client *c, const char *text)
{
	process_until(c, has_logged, text, SOON_MS);
	return fixture_logged(text);
}

bool fixture_flush(struct fixture_client *c)
{
	kb_nats_link_ping(&c->broker->link);
	return process_until(c, has_its_pongs, NULL, SOON_MS) != KB_BROKER_LOST && has_its_pongs(c, NULL);
}

bool fixture_wait_readable(const struct fixture_client *c)
{
	return poll(&(struct pollfd){c->broker->link.tcp, POLLIN, 0}, 1, SOON_MS) == 1;
}

bool fixture_stay(struct fixture_client *c, int ms)
{
	return process_until(c, never, NULL, ms) != KB_BROKER_LOST;
}
