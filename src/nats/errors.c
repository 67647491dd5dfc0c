#include "nats/errors.h"

#include <stdio.h>
#include "bus/traffic.h"
#include "nats/notices.h"
#include "nats/subscriptions.h"

/* One of the messages in flight costs the connection: they go one at a time until it is found. For everything that its
 * parser does not understand nats-server has one text only, whatever its own log says. */
static bool is_offence(const char *what)
{
	static const char *const offences[] = {"Maximum Control Line", "Maximum Payload", "Unknown Protocol Operation",
		"Parser Error", "Invalid Publish Subject", "Invalid Subject"};
	for (size_t i = 0; i < sizeof offences / sizeof *offences; i++)
		if (strcasestr(what, offences[i]))
			return true;
	return false;
}

/* The subject in: Permissions Violation for Publish to "subject". Empty: it says something else. */
static struct kb_slice forbidden(struct kb_slice text)
{
	static const char words[] = "ermissions Violation for Publish to \"";
	const char *at = memmem(text.p, text.n, words, sizeof words - 1);
	const char *from = at ? at + sizeof words - 1 : NULL,
			   *end = at ? memrchr(from, '"', text.n - (size_t)(from - text.p)) : NULL;
	return end ? kb_slice(from, (size_t)(end - from)) : kb_slice(NULL, 0);
}

static bool has_open_messages(const struct kb_broker *b)
{
	return b->store.oldest < b->store.next || kb_nats_receipts_open(&b->receipts);
}

static void note_offence(struct kb_broker *b, struct kb_slice text, const char *what)
{
	struct kb_slice subject = forbidden(text);
	if (subject.n) {
		kb_traffic_note(b->config.traffic, forbidden);
		if (b->events.request.forbidden)
			b->events.request.forbidden(b->events.context, subject, what);
	}
	if (kb_slice_equal(subject, KB_SLICE_LITERAL("$JS.API.STREAM.NAMES"))) {
		b->store.blind = true;
	} else if (subject.n) {
		kb_nats_store_forbidden(&b->store, subject, what, &b->events);
	} else if (has_open_messages(b) && is_offence(what)) {
		kb_nats_store_forget(&b->store);
		kb_nats_receipts_offended(&b->receipts);
		b->events.publish.requeue(b->events.context, KB_OFFENDED, what);
	}
}

/* A NUL in the text would hide what follows it. */
static void copy_text(struct kb_slice text, char *to, size_t size)
{
	size_t n = text.n < size - 1 ? text.n : size - 1;
	for (size_t i = 0; i < n; i++)
		to[i] = text.p[i] ? text.p[i] : '?';
	to[n] = '\0';
}

void kb_nats_errors_heed(struct kb_broker *b, struct kb_slice text, int64_t now)
{
	char what[256];
	copy_text(text, what, sizeof what);
	kb_log_limited(&b->reported, KB_LOG_ERROR, "nats: %s: %s", b->address, what);
	kb_nats_subscriptions_note_refusal(b, text, what, now);
	note_offence(b, text, what);
	if (!strstr(what, "ermissions Violation")) /* a violation never ends a connection */
		kb_nats_link_note_error(&b->link, what, now);
	if (strcasestr(what, "slow consumer"))
		kb_nats_notices_slow_consumer(b);
}
