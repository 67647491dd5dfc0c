/* A durable consumer and what it has sent, for the tests of nats/durable. */
#ifndef KB_SPEC_DURABLE_SCENE_H
#define KB_SPEC_DURABLE_SCENE_H

#include "check.h"
#include "nats/durable.h"

enum { ACK_WAIT_MS = 32000, SID = 3 };

/* What goes by in a scene: each begins at 1000 ms, moves `now` itself, and looks at what was sent since it last did. */
struct scene {
	struct kb_nats_durable d;
	struct kb_buf out;
	int64_t now;
	bool news;
};

static const struct kb_durable plain = {.stream = "S", .name = "D"};

static inline void begin(struct scene *s, const struct kb_durable *config)
{
	*s = (struct scene){.now = 1000};
	kb_nats_durable_begin(&s->d, config, NULL, &s->out, SID, s->now);
}

static inline void end(struct scene *s)
{
	kb_buf_free(&s->out);
}

/* How often `text` was sent since the last call, which forgets all of it. */
static inline unsigned sent(struct scene *s, const char *text)
{
	unsigned times = 0;
	kb_buf_append_byte(&s->out, '\0');
	for (const char *at = s->out.p; (at = strstr(at, text)); at += strlen(text))
		times++;
	kb_buf_clear(&s->out);
	return times;
}

static inline bool is_quiet(struct scene *s)
{
	return sent(s, "PUB") == 0;
}

static inline bool pulls(struct scene *s, unsigned batch)
{
	char request[100];
	snprintf(request, sizeof request, "{\"batch\":%u,\"expires\":30000000000,\"idle_heartbeat\":2000000000}", batch);
	return sent(s, request) == 1;
}

/* kind: 'i' of the description, 'c' of the creation, 'p' of the messages asked for. */
static inline bool heed(
	struct scene *s, char kind, const char *payload, int status, const char *description, const char *pending)
{
	char inbox[KB_NATS_INBOX_BYTES + 2], code[12];
	struct kb_buf properties = {0}, headers = {0};
	snprintf(inbox, sizeof inbox, "%s.%c", s->d.inbox, kind);
	snprintf(code, sizeof code, "%d", status);
	if (status)
		kb_headers_add(&properties, KB_SLICE_LITERAL("status"), kb_slice_from(code));
	if (description)
		kb_headers_add(&properties, KB_SLICE_LITERAL("description"), kb_slice_from(description));
	if (pending)
		kb_headers_add(&headers, KB_SLICE_LITERAL("Nats-Pending-Messages"), kb_slice_from(pending));
	struct kb_message m = {.key = kb_slice_from(inbox),
		.payload = kb_slice_from(payload),
		.headers = kb_buf_slice(&headers),
		.properties = kb_buf_slice(&properties)};
	s->news = false;
	bool heeded = kb_nats_durable_heed(&s->d, &m, &s->out, s->now, &s->news);
	kb_buf_free(&properties);
	kb_buf_free(&headers);
	return heeded;
}

static inline void reply(struct scene *s, char kind, const char *payload)
{
	CHECK(heed(s, kind, payload, 0, NULL, NULL));
}

static inline void status(struct scene *s, int code, const char *description, const char *pending)
{
	CHECK(heed(s, 'p', "", code, description, pending));
}

static inline void tick(struct scene *s)
{
	s->news = false;
	kb_nats_durable_tick(&s->d, &s->out, s->now, &s->news);
}

#define NO_CONSUMER "{\"error\":{\"code\":404,\"err_code\":10014,\"description\":\"consumer not found\"}}"
#define NO_STREAM "{\"error\":{\"code\":404,\"err_code\":10059,\"description\":\"stream not found\"}}"
#define CONFIG(more) "{\"config\":{\"durable_name\":\"D\",\"ack_wait\":32000000000" more "}}"

/* A consumer that the server has described as it should be. */
static inline void begin_pulling(struct scene *s)
{
	begin(s, &plain);
	kb_buf_clear(&s->out);
	reply(s, 'i', CONFIG(""));
	CHECK(s->d.state == KB_NATS_DURABLE_PULLING && pulls(s, 1) && s->news && !s->d.why[0]);
}

#endif
