#include "nats/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "nats/headers.h"
#include "nats/js.h"
#include "nats/number.h"

enum { REPLY_MS = 2000 }; /* for the stream to acknowledge a message */

static const char no_stream[] = "no stream has this subject";

void kb_nats_store_forget(struct kb_nats_store *s)
{
	s->oldest = s->next;
}

void kb_nats_store_reset(struct kb_nats_store *s)
{
	kb_nats_store_forget(s);
	s->inbox[0] = '\0';
	s->blind = false;
}

void kb_nats_store_free(struct kb_nats_store *s)
{
	free(s->flights);
	s->flights = NULL;
}

static struct kb_nats_store_flight *flight(struct kb_nats_store *s, uint64_t number)
{
	return &s->flights[number & (KB_NATS_STORE_IN_FLIGHT - 1)];
}

static bool begin(struct kb_nats_store *s, struct kb_nats_link *link, uint64_t sid)
{
	char pattern[sizeof s->inbox + 2];
	if (!s->flights)
		s->flights = calloc(KB_NATS_STORE_IN_FLIGHT, sizeof *s->flights);
	if (!s->flights)
		return false;
	if (!s->inbox[0]) {
		kb_nats_inbox_new(s->inbox_prefix, s->inbox);
		snprintf(pattern, sizeof pattern, "%s.*", s->inbox);
		kb_nats_wire_put_subscribe(&link->out, kb_slice_from(pattern), kb_slice(NULL, 0), sid);
		s->next = s->next ? s->next : 1;
		s->oldest = s->next;
	}
	return true;
}

/* kind: 'm' for the message itself, 's' for the request which streams take its subject. */
static struct kb_slice inbox_of(const struct kb_nats_store *s, char kind, uint64_t number, char *to, size_t size)
{
	int n = snprintf(to, size, "%s.%c%" PRIu64, s->inbox, kind, number);
	return kb_slice(to, (size_t)n);
}

enum kb_broker_result kb_nats_store_put(struct kb_nats_store *s, struct kb_nats_link *link, uint64_t sid,
	const struct kb_message *m, int64_t now, uint64_t *sequence)
{
	char text[KB_NATS_STORE_INBOX_BYTES];
	if (!begin(s, link, sid) || s->next - s->oldest >= KB_NATS_STORE_IN_FLIGHT)
		return KB_BROKER_AGAIN;
	struct kb_message request = *m;
	bool ask_streams = s->in_doubt && !s->blind;
	request.reply = inbox_of(s, 'm', s->next, text, sizeof text);
	kb_nats_wire_put_message(&link->out, &request);
	*flight(s, s->next) = (struct kb_nats_store_flight){.sent_ms = now,
		.subject = kb_slice_hash(m->key),
		.doubt = ask_streams ? KB_NATS_STORE_ASKED : KB_NATS_STORE_NO_DOUBT};
	if (ask_streams)
		kb_nats_js_put_streams_request(&link->out, m->key, inbox_of(s, 's', s->next, text, sizeof text));
	*sequence = s->next++;
	return KB_BROKER_OK;
}

static void end(struct kb_nats_store *s, uint64_t number, enum kb_outcome outcome, const char *reason,
	const struct kb_broker_events *events)
{
	flight(s, number)->sent_ms = 0;
	while (s->oldest < s->next && !flight(s, s->oldest)->sent_ms)
		s->oldest++;
	events->publish.settled(events->context, number, false, outcome, reason);
}

static void note_reply(struct kb_nats_store *s, const struct kb_nats_store_flight *f, int64_t now)
{
	s->replied_ms = now;
	if (f->sent_ms > s->overtaking_ms)
		s->overtaking_ms = f->sent_ms;
}

static void heed_message(struct kb_nats_store *s, uint64_t number, struct kb_slice payload, struct kb_slice properties,
	const struct kb_broker_events *events)
{
	struct kb_nats_store_flight *f = flight(s, number);
	struct kb_nats_js_reply reply = kb_nats_js_stored_read(payload, properties);
	bool nobody = kb_nats_headers_status(properties) == KB_NATS_NO_RESPONDERS;
	s->in_doubt = !reply.good && (s->in_doubt || nobody || reply.foreign);
	if (reply.foreign && f->doubt != KB_NATS_STORE_NO_STREAM)
		f->foreign = true; /* the stream's own reply is still to come, if there is a stream */
	else if (reply.good)
		end(s, number, KB_DONE, NULL, events);
	else if (nobody && f->doubt == KB_NATS_STORE_ASKED)
		f->doubt = KB_NATS_STORE_REFUSED;
	else if ((nobody || reply.foreign) && f->doubt == KB_NATS_STORE_NO_STREAM)
		end(s, number, KB_REJECTED, no_stream, events);
	else
		end(s, number, reply.lasting ? KB_REJECTED : KB_PENDING, reply.what, events);
}

static void heed_streams(struct kb_nats_store *s, uint64_t number, struct kb_slice payload, struct kb_slice properties,
	const struct kb_broker_events *events)
{
	struct kb_nats_store_flight *f = flight(s, number);
	bool none = kb_nats_js_no_stream(payload, properties);
	if (f->doubt == KB_NATS_STORE_REFUSED || (f->foreign && none))
		end(s, number, none ? KB_REJECTED : KB_PENDING, none ? no_stream : "stream has no leader", events);
	else
		f->doubt = none ? KB_NATS_STORE_NO_STREAM : KB_NATS_STORE_NO_DOUBT;
}

void kb_nats_store_heed(struct kb_nats_store *s, struct kb_slice subject, struct kb_slice payload,
	struct kb_slice properties, int64_t now, const struct kb_broker_events *events)
{
	size_t prefix = strlen(s->inbox) + 1;
	if (subject.n < prefix + 2)
		return;
	char kind = subject.p[prefix];
	uint64_t number = kb_nats_number(kb_slice(subject.p + prefix + 1, subject.n - prefix - 1));
	if (number < s->oldest || number >= s->next || !flight(s, number)->sent_ms)
		return; /* it was given up meanwhile */
	note_reply(s, flight(s, number), now);
	(kind == 'm' ? heed_message : heed_streams)(s, number, payload, properties, events);
}

void kb_nats_store_forbidden(
	struct kb_nats_store *s, struct kb_slice subject, const char *reason, const struct kb_broker_events *events)
{
	uint64_t hash = kb_slice_hash(subject);
	for (uint64_t number = s->oldest; number < s->next; number++)
		if (flight(s, number)->sent_ms && flight(s, number)->subject == hash)
			end(s, number, KB_REJECTED, reason, events);
}

void kb_nats_store_expire(struct kb_nats_store *s, int64_t now, const struct kb_broker_events *events)
{
	int64_t since = now - REPLY_MS;
	for (uint64_t number = s->oldest; number < s->next; number++) {
		const struct kb_nats_store_flight *f = flight(s, number);
		bool silent = s->replied_ms <= since, overtaken = s->overtaking_ms - f->sent_ms >= REPLY_MS;
		if (f->sent_ms && (f->sent_ms > since || !(silent || overtaken)))
			return;
		if (f->sent_ms)
			end(s, number, KB_PENDING, "no reply from the stream", events);
	}
}
