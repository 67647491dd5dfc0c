#include "nats/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ANSWER_MS = 2000 }; /* for the stream to say that it has stored a message */

static const char no_stream[] = "no stream takes this subject";

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

static struct kb_nats_flight *flight(struct kb_nats_store *s, uint64_t number)
{
	return &s->flights[number & (KB_NATS_UNDER_WAY - 1)];
}

static bool begin(struct kb_nats_store *s, struct kb_nats_link *link, uint64_t sid)
{
	char pattern[sizeof s->inbox + 2];
	if (!s->flights)
		s->flights = calloc(KB_NATS_UNDER_WAY, sizeof *s->flights);
	if (!s->flights)
		return false;
	if (!s->inbox[0]) {
		kb_nats_inbox(s->inbox_prefix, s->inbox);
		snprintf(pattern, sizeof pattern, "%s.*", s->inbox);
		kb_nats_put_subscribe(&link->out, kb_slice_from(pattern), kb_slice(NULL, 0), sid);
		s->next = s->next ? s->next : 1;
		s->oldest = s->next;
	}
	return true;
}

/* FNV-1a: of a subject, to find it again when the server names it. */
static uint64_t hash_of(struct kb_slice subject)
{
	uint64_t hash = 14695981039346656037u;
	for (size_t i = 0; i < subject.n; i++)
		hash = (hash ^ (unsigned char)subject.p[i]) * 1099511628211u;
	return hash;
}

/* kind: 'm' for the message itself, 'q' for the question about its subject. */
static struct kb_slice inbox_of(const struct kb_nats_store *s, char kind, uint64_t number, char *to, size_t size)
{
	int n = snprintf(to, size, "%s.%c%" PRIu64, s->inbox, kind, number);
	return kb_slice(to, (size_t)n);
}

enum kb_broker_result kb_nats_store_put(struct kb_nats_store *s, struct kb_nats_link *link, uint64_t sid,
	const struct kb_message *m, int64_t now, uint64_t *sequence)
{
	char text[KB_NATS_STORE_INBOX_BYTES];
	if (!begin(s, link, sid) || s->next - s->oldest >= KB_NATS_UNDER_WAY)
		return KB_BROKER_AGAIN;
	struct kb_message asking = *m;
	bool ask = s->in_doubt && !s->blind;
	asking.reply = inbox_of(s, 'm', s->next, text, sizeof text);
	kb_nats_put_message(&link->out, &asking);
	*flight(s, s->next) = (struct kb_nats_flight){
		.sent_ms = now, .subject = hash_of(m->key), .doubt = ask ? KB_NATS_ASKED : KB_NATS_NO_DOUBT};
	if (ask)
		kb_nats_put_streams_query(&link->out, m->key, inbox_of(s, 'q', s->next, text, sizeof text));
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

static void note_answer(struct kb_nats_store *s, const struct kb_nats_flight *f, int64_t now)
{
	s->answered_ms = now;
	if (f->sent_ms > s->overtaking_ms)
		s->overtaking_ms = f->sent_ms;
}

static void heed_message(struct kb_nats_store *s, uint64_t number, struct kb_slice payload, struct kb_slice properties,
	const struct kb_broker_events *events)
{
	struct kb_nats_flight *f = flight(s, number);
	struct kb_nats_answer answer = kb_nats_stored_answer_read(payload, properties);
	bool nobody = kb_nats_status(properties) == KB_NATS_NO_RESPONDERS;
	s->in_doubt = !answer.good && (s->in_doubt || nobody || answer.foreign);
	if (answer.foreign && f->doubt != KB_NATS_NO_STREAM)
		f->foreign = true; /* the stream's own answer is still to come, if there is a stream */
	else if (answer.good)
		end(s, number, KB_DONE, NULL, events);
	else if (nobody && f->doubt == KB_NATS_ASKED)
		f->doubt = KB_NATS_REFUSED;
	else if ((nobody || answer.foreign) && f->doubt == KB_NATS_NO_STREAM)
		end(s, number, KB_REJECTED, no_stream, events);
	else
		end(s, number, answer.lasting ? KB_REJECTED : KB_PENDING, answer.what, events);
}

static void heed_question(struct kb_nats_store *s, uint64_t number, struct kb_slice payload, struct kb_slice properties,
	const struct kb_broker_events *events)
{
	struct kb_nats_flight *f = flight(s, number);
	bool none = kb_nats_no_stream(payload, properties);
	if (f->doubt == KB_NATS_REFUSED || (f->foreign && none))
		end(s, number, none ? KB_REJECTED : KB_PENDING, none ? no_stream : "its stream has no leader", events);
	else
		f->doubt = none ? KB_NATS_NO_STREAM : KB_NATS_NO_DOUBT;
}

void kb_nats_store_heed(struct kb_nats_store *s, struct kb_slice subject, struct kb_slice payload,
	struct kb_slice properties, int64_t now, const struct kb_broker_events *events)
{
	size_t prefix = strlen(s->inbox) + 1;
	char digits[24];
	if (subject.n < prefix + 2 || subject.n - prefix > sizeof digits - 1)
		return;
	memcpy(digits, subject.p + prefix, subject.n - prefix);
	digits[subject.n - prefix] = '\0';
	uint64_t number = strtoull(digits + 1, NULL, 10);
	if (number < s->oldest || number >= s->next || !flight(s, number)->sent_ms)
		return; /* it was given up meanwhile */
	note_answer(s, flight(s, number), now);
	(digits[0] == 'm' ? heed_message : heed_question)(s, number, payload, properties, events);
}

void kb_nats_store_forbidden(
	struct kb_nats_store *s, struct kb_slice subject, const char *reason, const struct kb_broker_events *events)
{
	uint64_t hash = hash_of(subject);
	for (uint64_t number = s->oldest; number < s->next; number++)
		if (flight(s, number)->sent_ms && flight(s, number)->subject == hash)
			end(s, number, KB_REJECTED, reason, events);
}

void kb_nats_store_expire(struct kb_nats_store *s, int64_t now, const struct kb_broker_events *events)
{
	int64_t since = now - ANSWER_MS;
	for (uint64_t number = s->oldest; number < s->next; number++) {
		const struct kb_nats_flight *f = flight(s, number);
		bool silent = s->answered_ms <= since, overtaken = s->overtaking_ms - f->sent_ms >= ANSWER_MS;
		if (f->sent_ms && (f->sent_ms > since || !(silent || overtaken)))
			return;
		if (f->sent_ms)
			end(s, number, KB_PENDING, "the stream does not answer", events);
	}
}
