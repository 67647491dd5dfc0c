#include "nats/reply_inbox.h"

#include <stdio.h>
#include <stdlib.h>
#include "nats/requests.h"

enum { REMEMBERED = 8192 /* requests that are known by their subjects */ };

struct kb_nats_reply_inbox {
	struct kb_nats_requests *requests;
	struct kb_subscription subscription;
	const char *routing;
	char subject[]; /* INBOX.* */
};

struct kb_nats_reply_inbox *kb_nats_reply_inbox_create(const char *name)
{
	size_t bytes = strlen(name) + sizeof ".*";
	struct kb_nats_reply_inbox *inbox = calloc(1, sizeof *inbox + bytes);
	struct kb_nats_requests *requests = kb_nats_requests_create(REMEMBERED);
	if (!inbox || !requests) {
		kb_nats_requests_free(requests);
		free(inbox);
		return NULL;
	}
	snprintf(inbox->subject, bytes, "%s.*", name);
	inbox->requests = requests;
	inbox->routing = inbox->subject;
	inbox->subscription = (struct kb_subscription){.exchange = {.name = "", .type = ""},
		.queue = {.name = ""},
		.routing = &inbox->routing,
		.n_routing = 1,
		.no_ack = true,
		.event_key = "",
		.event_subkey = ""};
	return inbox;
}

void kb_nats_reply_inbox_free(struct kb_nats_reply_inbox *inbox)
{
	if (inbox)
		kb_nats_requests_free(inbox->requests);
	free(inbox);
}

const struct kb_subscription *kb_nats_reply_inbox_subscription(void *context)
{
	struct kb_nats_reply_inbox *inbox = context;
	return &inbox->subscription;
}

static struct kb_slice last_word(struct kb_slice subject)
{
	const char *dot = subject.n ? memrchr(subject.p, '.', subject.n) : NULL;
	return dot ? kb_slice(dot + 1, subject.n - (size_t)(dot + 1 - subject.p)) : subject;
}

static struct kb_slice request_id(const struct kb_message *request)
{
	return last_word(request->reply);
}

static size_t reply_ids(void *context, const struct kb_message *reply, struct kb_slice ids[KB_REQUESTER_IDS])
{
	(void)context;
	ids[0] = last_word(reply->key);
	return 1;
}

static void sent(void *context, const struct kb_message *request)
{
	struct kb_nats_reply_inbox *inbox = context;
	kb_nats_requests_note(inbox->requests, request->key, request_id(request));
}

static void forbidden(
	void *context, struct kb_slice subject, void (*end)(void *, struct kb_slice id), void *end_context)
{
	struct kb_nats_reply_inbox *inbox = context;
	kb_nats_requests_end(inbox->requests, subject, end, end_context);
}

const struct kb_requester_bus kb_nats_reply_inbox = {.subscription = kb_nats_reply_inbox_subscription,
	.request_id = request_id,
	.reply_ids = reply_ids,
	.sent = sent,
	.forbidden = forbidden,
	.whole = true,
	.many = true,
	.says_too_large = true,
	.unsent = KB_REPLY_UNSENT};
