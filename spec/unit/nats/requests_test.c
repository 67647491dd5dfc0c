/* nats/requests: the requests that a subject's refusal ends. */
#include "nats/requests.h"

#include "check.h"

static char ended[256];

static void on_end(void *context, struct kb_slice id)
{
	CHECK(context == ended && id.n == KB_REPLY_ID_WORD_CHARS);
	strncat(ended, id.p, 1);
}

/* Ids are told apart by their first letter. */
static void note(struct kb_nats_requests *requests, const char *subject, char letter)
{
	char id[KB_REPLY_ID_WORD_CHARS];
	memset(id, letter, sizeof id);
	kb_nats_requests_note(requests, kb_slice_from(subject), kb_slice(id, sizeof id));
}

static const char *end(struct kb_nats_requests *requests, const char *subject)
{
	ended[0] = '\0';
	kb_nats_requests_end(requests, kb_slice_from(subject), on_end, ended);
	return ended;
}

int main(void)
{
	struct kb_nats_requests *requests = kb_nats_requests_create(4);
	CHECK_TEXT(end(requests, "a"), "");
	note(requests, "a", '1');
	note(requests, "b", '2');
	note(requests, "a", '3');
	kb_nats_requests_note(requests, KB_SLICE_LITERAL("a"), KB_SLICE_LITERAL("bucket-0"));
	CHECK_TEXT(end(requests, "a.b"), "");
	CHECK_TEXT(end(requests, "a"), "13");
	CHECK_TEXT(end(requests, "a"), "");
	CHECK_TEXT(end(requests, "b"), "2");
	for (char letter = 'a'; letter <= 'h'; letter++)
		note(requests, "a", letter);
	CHECK_TEXT(end(requests, "a"), "efgh");
	kb_nats_requests_free(requests);
	kb_nats_requests_free(NULL);
	return check_failures ? 1 : 0;
}
