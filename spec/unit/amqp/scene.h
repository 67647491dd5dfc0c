/*
 * An AMQP broker of ours whose connection ends in the test's hand: frames that a real broker would send are written by
 * librabbitmq's encoders, and what is answered is read by its decoders.
 *
 *     begin(&s)                       a connection that publishes, with two subscriptions: the first acknowledges
 *     say(&s, CHANNEL, METHOD, fields)  and say_content(): gathers frames
 *     process(&s)                     lets our side read them
 *     CHECK_TEXT(told(&s), "...")     what the loop was told since the last call, an event a line
 *     CHECK_TEXT(heard(&s), "...")    the methods that our side has said since, a line each: CHANNEL NAME FIELDS
 */
#ifndef KB_SPEC_AMQP_SCENE_H
#define KB_SPEC_AMQP_SCENE_H

#include <amqp_tcp_socket.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "amqp/broker.h"
#include "amqp/bytes.h"
#include "amqp/channels.h"
#include "amqp/frames.h"
#include "amqp/publishing.h"
#include "amqp/requests.h"
#include "amqp/state.h"
#include "amqp/subscriptions.h"
#include "check.h"

enum {
	SCENE_CHANNELS = 40, /* that the broker allows */
	SCENE_FRAME_MAX = 4096,
	SCENE_MESSAGE_MAX = 16,
	SCENE_FIRST = 2, /* channels of the subscriptions */
	SCENE_SECOND = 3
};

struct scene {
	struct kb_broker *b;
	int peer;                       /* the broker's end */
	struct kb_buf said;             /* by the broker, and not sent yet */
	amqp_connection_state_t reader; /* of what our side says */
	size_t n_told;
	char told[1024], heard[2048];
	bool full; /* nobody has room for deliveries */
};

/* -- the loop -- */

static inline void scene_note(struct scene *s, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	s->n_told += (size_t)vsnprintf(s->told + s->n_told, sizeof s->told - s->n_told, format, arguments);
	va_end(arguments);
}

static inline void scene_settled(
	void *context, uint64_t sequence, bool multiple, enum kb_outcome outcome, const char *reason)
{
	scene_note(context, "settled %u%s%s\n", (unsigned)sequence, multiple ? " and before" : "",
		outcome == KB_DONE && !reason ? "" : " not");
}

static inline void scene_requeue(void *context, enum kb_requeue_cause cause, const char *reason)
{
	static const char *const causes[] = {"renewed", "no exchange", "offended", "broker failed"};
	scene_note(context, "requeue, %s: %s\n", causes[cause], reason ? reason : "-");
}

static inline void scene_returned(void *context, const struct kb_message *m, const char *reason)
{
	scene_note(context, "returned %.*s %.*s \"%.*s\": %s\n", KB_SLICE_FMT(m->exchange), KB_SLICE_FMT(m->key),
		KB_SLICE_FMT(m->payload), reason);
}

static inline void scene_exchange(void *context, bool missing, const char *why)
{
	scene_note(context, "exchange %s %s\n", missing ? "missing" : "there", why ? why : "-");
}

static inline bool scene_delivered(void *context, const struct kb_message *m)
{
	struct scene *s = context;
	scene_note(s, "%s %u: %.*s \"%.*s\"%s\n", s->full ? "no room for" : "delivered", m->origin.subscription,
		KB_SLICE_FMT(m->key), KB_SLICE_FMT(m->payload), m->origin.flags & KB_REDELIVERED ? " again" : "");
	if (!s->full)
		kb_amqp.consume->settle(s->b, &m->origin, KB_DONE);
	return !s->full;
}

static inline void scene_too_large(void *context, const struct kb_message *m, size_t bytes)
{
	scene_note(context, "too large: %.*s %zu\n", KB_SLICE_FMT(m->key), bytes);
}

static inline void scene_waiting(void *context, uint32_t subscription, uint32_t messages)
{
	scene_note(context, "active %u: %u waiting\n", subscription, messages);
}

static inline void scene_counted(void *context, uint32_t subscription, uint32_t messages)
{
	scene_note(context, "counted %u: %u\n", subscription, messages);
}

static inline void scene_fell(void *context, uint32_t subscription, const char *reason)
{
	scene_note(context, "ended %u: %s\n", subscription, reason);
}

static inline void scene_blocked(void *context, bool blocked, const char *reason)
{
	scene_note(context, "%s %s\n", blocked ? "blocked" : "unblocked", reason ? reason : "-");
}

static inline void scene_unroutable(void *context, struct kb_slice exchange, struct kb_slice id)
{
	scene_note(context, "unroutable %.*s \"%.*s\"\n", KB_SLICE_FMT(exchange), KB_SLICE_FMT(id));
}

static inline const char *told(struct scene *s)
{
	static char text[sizeof s->told];
	memcpy(text, s->told, sizeof text);
	s->told[s->n_told = 0] = '\0';
	return text;
}

/* -- the connection -- */

static inline amqp_connection_state_t scene_connection(void)
{
	static char first[] = {AMQP_FRAME_METHOD, 0, 1, 0, 0, 0, 4, 0, 20, 0, 41, (char)AMQP_FRAME_END};
	amqp_connection_state_t connection = amqp_new_connection();
	amqp_frame_t ignored;
	/* With its first frame the library has the handshake behind it. */
	CHECK(connection && amqp_handle_input(connection, (amqp_bytes_t){sizeof first, first}, &ignored) > 0);
	CHECK(amqp_tune_connection(connection, SCENE_CHANNELS, SCENE_FRAME_MAX, 0) == AMQP_STATUS_OK);
	return connection;
}

static inline void scene_connect(struct scene *s)
{
	static const struct timeval soon = {1, 0};
	int ends[2];
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	s->peer = ends[1];
	s->b->link.connection = scene_connection();
	s->b->link.timeout_ms = 1000;
	amqp_tcp_socket_set_sockfd(amqp_tcp_socket_new(s->b->link.connection), ends[0]);
	amqp_set_rpc_timeout(s->b->link.connection, &soon);
}

static inline void begin(struct scene *s)
{
	static const char *const urls[] = {"amqp://localhost"};
	static const struct kb_broker_config config = {
		.urls = urls, .n_urls = 1, .client_name = "test", .message_max = SCENE_MESSAGE_MAX, .index = 7};
	static const struct kb_subscription acked = {.queue.name = "q", .exchange.name = "", .exchange.type = ""},
										no_ack = {.queue.name = "q2", .exchange.name = "e", .no_ack = true};
	struct kb_broker_events events = {.context = s,
		.blocked = scene_blocked,
		.publish = {scene_settled, scene_requeue, scene_returned, scene_exchange},
		.consume = {scene_delivered, scene_too_large, scene_waiting, scene_counted, scene_fell},
		.request.unroutable = scene_unroutable};
	size_t bad;
	*s = (struct scene){.b = kb_amqp.open(&config, &events, &bad), .reader = scene_connection()};
	scene_connect(s);
	s->b->subscriptions = calloc(2, sizeof *s->b->subscriptions);
	s->b->n_subscriptions = 2;
	s->b->subscriptions[0] = (struct kb_amqp_subscription){.s = &acked, .generation = 1001};
	s->b->subscriptions[1] = (struct kb_amqp_subscription){.s = &no_ack, .generation = 1002};
	s->b->publishing.open = true;
}

static inline void end(struct scene *s)
{
	close(s->peer);
	kb_amqp.close(s->b);
	amqp_destroy_connection(s->reader);
	kb_buf_free(&s->said);
}

/* -- what the broker says -- */

#define say(s, channel, METHOD, ...)                                                                                   \
	CHECK(kb_amqp_frames_put_method(&(s)->said, channel, AMQP_##METHOD##_METHOD, &__VA_ARGS__))

/* The header and the body of a content; `id` is its correlation-id, or NULL. `most` bytes of the body a frame. */
static inline void say_content_in(
	struct scene *s, amqp_channel_t channel, const char *id, const char *body, size_t most)
{
	struct kb_buf publish = {0}, properties = {0};
	if (id)
		kb_headers_add(&properties, KB_SLICE_LITERAL("correlation-id"), kb_slice_from(id));
	struct kb_message m = {.properties = kb_buf_slice(&properties), .payload = kb_slice_from(body)};
	CHECK(kb_amqp_frames_put_publish(&publish, channel, &m, SCENE_FRAME_MAX));
	size_t method = (size_t)((unsigned char)publish.p[5] << 8 | (unsigned char)publish.p[6]) + 8;
	size_t header = (size_t)((unsigned char)publish.p[method + 5] << 8 | (unsigned char)publish.p[method + 6]) + 8;
	kb_buf_append_slice(&s->said, kb_slice(publish.p + method, header));
	for (size_t n = 0, size = strlen(body); size; body += n, size -= n) {
		n = size < most ? size : most;
		const char head[] = {AMQP_FRAME_BODY, 0, (char)channel, 0, 0, 0, (char)n};
		kb_buf_append_slice(&s->said, kb_slice(head, sizeof head));
		kb_buf_append_slice(&s->said, kb_slice(body, n));
		kb_buf_append_byte(&s->said, (char)AMQP_FRAME_END);
	}
	kb_buf_free(&publish);
	kb_buf_free(&properties);
}

static inline void say_content(struct scene *s, amqp_channel_t channel, const char *id, const char *body)
{
	say_content_in(s, channel, id, body, 100);
}

static inline void say_delivery(struct scene *s, amqp_channel_t channel, uint64_t tag, const char *key)
{
	say(s, channel, BASIC_DELIVER, (amqp_basic_deliver_t){.delivery_tag = tag, .routing_key = amqp_cstring_bytes(key)});
}

static inline void say_channel_close(struct scene *s, amqp_channel_t channel, uint16_t code, const char *text)
{
	say(s, channel, CHANNEL_CLOSE, (amqp_channel_close_t){.reply_code = code, .reply_text = amqp_cstring_bytes(text)});
}

/* The answers to opening the channel of messages. */
static inline void say_publish_channel_opened(struct scene *s)
{
	say(s, KB_AMQP_CHANNELS_PUBLISH, CHANNEL_OPEN_OK, (amqp_channel_open_ok_t){{0, NULL}});
	say(s, KB_AMQP_CHANNELS_PUBLISH, CONFIRM_SELECT_OK, (amqp_confirm_select_ok_t){0});
}

static inline void send_said(struct scene *s)
{
	CHECK(!s->said.n || send(s->peer, s->said.p, s->said.n, MSG_NOSIGNAL) == (ssize_t)s->said.n);
	kb_buf_clear(&s->said);
}

static inline enum kb_broker_result process(struct scene *s)
{
	send_said(s);
	return kb_amqp.process(s->b, 100);
}

/* -- what it hears -- */

static inline size_t scene_describe(const amqp_frame_t *frame, char *to, size_t size)
{
	void *fields = frame->payload.method.decoded;
	const char *name = amqp_method_name(frame->payload.method.id) + strlen("AMQP_");
	size_t n = (size_t)snprintf(to, size, "%u %.*s", frame->channel, (int)(strlen(name) - strlen("_METHOD")), name);
	const amqp_basic_ack_t *ack = fields;
	const amqp_basic_reject_t *reject = fields;
	const amqp_basic_publish_t *publish = fields;
	const amqp_exchange_declare_t *exchange = fields;
	const amqp_queue_declare_t *queue = fields;
	if (frame->payload.method.id == AMQP_BASIC_ACK_METHOD)
		n += (size_t)snprintf(to + n, size - n, " %u", (unsigned)ack->delivery_tag);
	if (frame->payload.method.id == AMQP_BASIC_REJECT_METHOD)
		n += (size_t)snprintf(
			to + n, size - n, " %u%s", (unsigned)reject->delivery_tag, reject->requeue ? " requeue" : "");
	if (frame->payload.method.id == AMQP_BASIC_PUBLISH_METHOD)
		n += (size_t)snprintf(to + n, size - n, " %.*s", KB_SLICE_FMT(kb_amqp_bytes_slice(publish->exchange)));
	if (frame->payload.method.id == AMQP_EXCHANGE_DECLARE_METHOD)
		n += (size_t)snprintf(to + n, size - n, " %.*s%s", KB_SLICE_FMT(kb_amqp_bytes_slice(exchange->exchange)),
			exchange->passive ? " passive" : "");
	if (frame->payload.method.id == AMQP_QUEUE_DECLARE_METHOD)
		n += (size_t)snprintf(to + n, size - n, " %.*s%s", KB_SLICE_FMT(kb_amqp_bytes_slice(queue->queue)),
			queue->passive ? " passive" : "");
	return n + (size_t)snprintf(to + n, size - n, "\n");
}

/* Also what was put and not written yet. */
static inline const char *heard(struct scene *s)
{
	static char bytes[65536];
	size_t n = 0, described = 0;
	s->heard[0] = '\0';
	if (s->b->link.connection)
		CHECK(!kb_amqp_link_flush(&s->b->link));
	for (ssize_t more; (more = recv(s->peer, bytes + n, sizeof bytes - n, MSG_DONTWAIT)) > 0;)
		n += (size_t)more;
	for (size_t at = 0; at < n;) {
		amqp_frame_t frame;
		int taken = amqp_handle_input(s->reader, (amqp_bytes_t){n - at, bytes + at}, &frame);
		CHECK(taken > 0);
		if (taken <= 0)
			break;
		at += (size_t)taken;
		if (frame.frame_type == AMQP_FRAME_METHOD)
			described += scene_describe(&frame, s->heard + described, sizeof s->heard - described);
		amqp_maybe_release_buffers(s->reader);
	}
	return s->heard;
}

/* -- publishing -- */

/* The sequence; a request has none. */
static inline uint64_t publish(struct scene *s, const char *exchange, uint32_t flags)
{
	uint64_t sequence = 0;
	struct kb_message m = {.exchange = kb_slice_from(exchange),
		.key = KB_SLICE_LITERAL("k"),
		.payload = KB_SLICE_LITERAL("{}"),
		.origin = {.flags = flags}};
	CHECK(kb_amqp.publish->publish(s->b, &m, &sequence) == KB_BROKER_OK);
	return sequence;
}

static inline void scene_no_log(enum kb_log_level level, const char *line)
{
	(void)level, (void)line;
}

#endif
