/* amqp/login: the handshake, against a broker that says what the test tells it to. */
#include "amqp/login.h"

#include <amqp_tcp_socket.h>
#include <sys/socket.h>
#include <unistd.h>
#include "amqp/bytes.h"
#include "amqp/frames.h"
#include "check.h"
#include "core/clock.h"

enum { SERVER_CHANNELS = 2047, SERVER_FRAME_MAX = 131072, SERVER_HEARTBEAT = 60, DEADLINE_MS = 100 };

/* What the broker says is written before our side begins: each of its frames is read in its turn. */
struct scene {
	amqp_connection_state_t connection;
	int peer, heartbeat_s;
	struct kb_buf said;
	const char *why;
	char heard[1000];
};

#define SAY(s, METHOD, ...)                                                                                            \
	CHECK(kb_amqp_frames_put_method(&(s)->said, 0, AMQP_CONNECTION_##METHOD##_METHOD, &__VA_ARGS__))

static void say_start(struct scene *s, const char *mechanisms)
{
	SAY(s, START,
		(amqp_connection_start_t){
			.version_minor = 9, .mechanisms = amqp_cstring_bytes(mechanisms), .locales = amqp_cstring_bytes("en_US")});
}

static void say_tune(struct scene *s, unsigned channels, unsigned frame_max, unsigned heartbeat)
{
	SAY(s, TUNE, (amqp_connection_tune_t){(uint16_t)channels, frame_max, (uint16_t)heartbeat});
}

static void say_all(struct scene *s, const char *mechanisms)
{
	say_start(s, mechanisms);
	say_tune(s, SERVER_CHANNELS, SERVER_FRAME_MAX, SERVER_HEARTBEAT);
	SAY(s, OPEN_OK, (amqp_connection_open_ok_t){{0, NULL}});
}

static void say_close(struct scene *s, uint16_t code, const char *text)
{
	SAY(s, CLOSE, (amqp_connection_close_t){.reply_code = code, .reply_text = amqp_cstring_bytes(text)});
}

/* Bytes outside of letters as "." */
static size_t print_bytes(char *to, size_t size, amqp_bytes_t b)
{
	size_t n = 0;
	for (size_t i = 0; i < b.len && n + 1 < size; i++) {
		unsigned char c = ((unsigned char *)b.bytes)[i];
		to[n++] = (char)(c > ' ' && c < 0x7f ? c : '.');
	}
	to[n] = '\0';
	return n;
}

static size_t describe(const amqp_frame_t *frame, char *to, size_t size)
{
	const amqp_connection_start_ok_t *start = frame->payload.method.decoded;
	const amqp_connection_tune_ok_t *tune = frame->payload.method.decoded;
	const amqp_connection_open_t *open = frame->payload.method.decoded;
	size_t n = 0;
	if (frame->payload.method.id == AMQP_CONNECTION_START_OK_METHOD) {
		n = (size_t)snprintf(to, size, "%.*s ", KB_SLICE_FMT(kb_amqp_bytes_slice(start->mechanism)));
		n += print_bytes(to + n, size - n, start->response);
		n += (size_t)snprintf(to + n, size - n, "; ");
	} else if (frame->payload.method.id == AMQP_CONNECTION_TUNE_OK_METHOD) {
		n = (size_t)snprintf(to, size, "%u %u %u; ", tune->channel_max, (unsigned)tune->frame_max, tune->heartbeat);
	} else if (frame->payload.method.id == AMQP_CONNECTION_OPEN_METHOD) {
		n = (size_t)snprintf(to, size, "open %.*s", KB_SLICE_FMT(kb_amqp_bytes_slice(open->virtual_host)));
	}
	return n;
}

static void hear(struct scene *s)
{
	char bytes[8192];
	ssize_t got = recv(s->peer, bytes, sizeof bytes, MSG_DONTWAIT);
	size_t n = got > 0 ? (size_t)got : 0, at = 8, described = 0;
	CHECK(n >= at && memcmp(bytes, "AMQP\0\0\11\1", at) == 0);
	static char first[] = {AMQP_FRAME_METHOD, 0, 1, 0, 0, 0, 4, 0, 20, 0, 41, (char)AMQP_FRAME_END};
	amqp_connection_state_t reader = amqp_new_connection();
	amqp_frame_t frame;
	CHECK(amqp_handle_input(reader, (amqp_bytes_t){sizeof first, first}, &frame) > 0);
	s->heard[0] = '\0';
	while (at < n) {
		int taken = amqp_handle_input(reader, (amqp_bytes_t){n - at, bytes + at}, &frame);
		CHECK(taken > 0);
		if (taken <= 0)
			break;
		at += (size_t)taken;
		if (frame.frame_type == AMQP_FRAME_METHOD)
			described += describe(&frame, s->heard + described, sizeof s->heard - described);
	}
	amqp_destroy_connection(reader);
}

static void begin(struct scene *s)
{
	int ends[2];
	*s = (struct scene){.connection = amqp_new_connection(), .heartbeat_s = -1};
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	s->peer = ends[1];
	amqp_tcp_socket_set_sockfd(amqp_tcp_socket_new(s->connection), ends[0]);
}

static const char *log_in(struct scene *s, const char *url)
{
	const struct kb_broker_config config = {.client_name = "test", .heartbeat_s = 10};
	struct kb_amqp_address a;
	CHECK(!kb_amqp_address_parse(url, &a));
	CHECK(!s->said.n || send(s->peer, s->said.p, s->said.n, MSG_NOSIGNAL) == (ssize_t)s->said.n);
	s->why = kb_amqp_login(s->connection, &a, &config, kb_clock_ms() + DEADLINE_MS, &s->heartbeat_s);
	kb_amqp_address_free(&a);
	hear(s);
	return s->why ? s->why : "logged in";
}

static void end(struct scene *s)
{
	amqp_destroy_connection(s->connection);
	close(s->peer);
	kb_buf_free(&s->said);
}

static void logs_in(const char *url, const char *mechanisms, const char *expected)
{
	struct scene s;
	begin(&s);
	say_all(&s, mechanisms);
	CHECK_TEXT(log_in(&s, url), "logged in");
	CHECK_TEXT(s.heard, expected);
	end(&s);
}

static void authenticates(void)
{
	logs_in("amqp://u:p@h/v", "PLAIN AMQPLAIN", "PLAIN .u.p; 2047 131072 10; open v");
	logs_in("amqp://h", "AMQPLAIN PLAIN", "PLAIN .guest.guest; 2047 131072 10; open /");
	logs_in("amqp://u:p@h", "AMQPLAIN", "AMQPLAIN .LOGINS....u.PASSWORDS....p; 2047 131072 10; open /");
	logs_in("amqp://u:p@h?auth_mechanism=amqplain", "PLAIN AMQPLAIN",
		"AMQPLAIN .LOGINS....u.PASSWORDS....p; 2047 131072 10; open /");
	logs_in("amqp://u:@h", "PLAIN", "PLAIN .u.; 2047 131072 10; open /");
	logs_in("amqps://h?auth_mechanism=external", "PLAIN EXTERNAL", "EXTERNAL ; 2047 131072 10; open /");
	logs_in("amqps://u@h?auth_mechanism=external", "EXTERNAL", "EXTERNAL u; 2047 131072 10; open /");
	logs_in("amqps://h?auth_mechanism=external&auth_mechanism=plain", "PLAIN AMQPLAIN",
		"PLAIN .guest.guest; 2047 131072 10; open /");
}

static void needs_a_mechanism_that_is_offered(void)
{
	static const char *const cases[][3] = {
		{"amqp://h", "XPLAIN PLAINX AMQPLAINS", "PLAIN or AMQPLAIN, only: XPLAIN PLAINX AMQPLAINS"},
		{"amqp://h?auth_mechanism=external", "PLAIN", "EXTERNAL, only: PLAIN"},
		{"amqp://h", "", "PLAIN or AMQPLAIN, only: "}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct scene s;
		char expected[200];
		begin(&s);
		say_all(&s, cases[i][1]);
		snprintf(expected, sizeof expected, "the broker does not offer the authentication mechanism %s", cases[i][2]);
		CHECK_TEXT(log_in(&s, cases[i][0]), expected);
		CHECK_TEXT(s.heard, "");
		end(&s);
	}
}

/* Ours, theirs, and what is agreed: channels, frame size, heartbeat. */
static void agrees_on_limits(void)
{
	static const struct {
		const char *query;
		unsigned theirs[3];
		const char *agreed;
	} cases[] = {
		{"", {0, 0, 0}, "2047 131072 10"},
		{"", {100, 8192, 5}, "100 8192 5"},
		{"", {0, 0, 60}, "2047 131072 10"},
		{"?channel_max=0&heartbeat=0&frame_max=0", {0, 0, 60}, "0 131072 0"},
		{"?channel_max=0", {50, 0, 0}, "50 131072 10"},
		{"?channel_max=9&heartbeat=3&frame_max=4096", {50, 8192, 60}, "9 4096 3"},
		{"?frame_max=2147483647&heartbeat=65535&channel_max=65535", {0, 0, 0}, "65535 131072 65535"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct scene s;
		char url[200], expected[200];
		begin(&s);
		say_start(&s, "PLAIN");
		say_tune(&s, cases[i].theirs[0], cases[i].theirs[1], cases[i].theirs[2]);
		SAY(&s, OPEN_OK, (amqp_connection_open_ok_t){{0, NULL}});
		snprintf(url, sizeof url, "amqp://h%s", cases[i].query);
		snprintf(expected, sizeof expected, "PLAIN .guest.guest; %s; open /", cases[i].agreed);
		CHECK_TEXT(log_in(&s, url), "logged in");
		CHECK_TEXT(s.heard, expected);
		int channels, frame_max, heartbeat;
		CHECK(sscanf(cases[i].agreed, "%d %d %d", &channels, &frame_max, &heartbeat) == 3);
		CHECK(s.heartbeat_s == heartbeat && amqp_get_heartbeat(s.connection) == 0);
		CHECK(amqp_get_channel_max(s.connection) == channels && amqp_get_frame_max(s.connection) == frame_max);
		end(&s);
	}
}

static void refuses_frames_below_what_the_protocol_allows(void)
{
	struct scene s;
	begin(&s);
	say_start(&s, "PLAIN");
	say_tune(&s, 0, 4095, 0);
	CHECK_TEXT(log_in(&s, "amqp://h"), "the broker allows frames of less than 4096 bytes only");
	end(&s);
}

static void says_why_the_broker_refuses(void)
{
	struct scene s;
	begin(&s);
	say_start(&s, "PLAIN");
	say_close(&s, 403, "ACCESS_REFUSED - no");
	CHECK_TEXT(log_in(&s, "amqp://h"), "403 ACCESS_REFUSED - no");
	end(&s);

	begin(&s);
	say_start(&s, "PLAIN");
	say_tune(&s, 0, 0, 0);
	say_close(&s, 530, "NOT_ALLOWED - vhost v not found");
	CHECK_TEXT(log_in(&s, "amqp://h/v"), "530 NOT_ALLOWED - vhost v not found");
	end(&s);
}

static void gives_up_a_broker_that_is_silent_or_confused(void)
{
	struct scene s;
	begin(&s);
	CHECK_TEXT(log_in(&s, "amqp://h"), amqp_error_string2(AMQP_STATUS_TIMEOUT));
	end(&s);

	begin(&s);
	say_start(&s, "PLAIN");
	SAY(&s, SECURE, (amqp_connection_secure_t){{0, NULL}});
	CHECK_TEXT(log_in(&s, "amqp://h"), "unexpected frame of the broker while logging in (method 0xa0014)");
	end(&s);
}

int main(void)
{
	authenticates();
	needs_a_mechanism_that_is_offered();
	agrees_on_limits();
	refuses_frames_below_what_the_protocol_allows();
	says_why_the_broker_refuses();
	gives_up_a_broker_that_is_silent_or_confused();
	return check_failures != 0;
}
