/* nats/asked: the questions that a subject's refusal ends. */
#include "nats/asked.h"

#include "check.h"

static char ended[256];

static void on_end(void *context, struct kb_slice id)
{
	CHECK(context == ended && id.n == KB_UUID_SHORT_CHARS);
	strncat(ended, id.p, 1);
}

/* Ids are told apart by their first letter. */
static void ask(struct kb_nats_asked *asked, const char *subject, char letter)
{
	char id[KB_UUID_SHORT_CHARS];
	memset(id, letter, sizeof id);
	kb_nats_asked_note(asked, kb_slice_from(subject), kb_slice(id, sizeof id));
}

static const char *end(struct kb_nats_asked *asked, const char *subject)
{
	ended[0] = '\0';
	kb_nats_asked_end(asked, kb_slice_from(subject), on_end, ended);
	return ended;
}

int main(void)
{
	struct kb_nats_asked *asked = kb_nats_asked_create(4);
	CHECK_TEXT(end(asked, "a"), "");
	ask(asked, "a", '1');
	ask(asked, "b", '2');
	ask(asked, "a", '3');
	kb_nats_asked_note(asked, KB_SLICE_LITERAL("a"), KB_SLICE_LITERAL("bucket-0"));
	CHECK_TEXT(end(asked, "a.b"), "");
	CHECK_TEXT(end(asked, "a"), "13");
	CHECK_TEXT(end(asked, "a"), "");
	CHECK_TEXT(end(asked, "b"), "2");
	for (char letter = 'a'; letter <= 'h'; letter++)
		ask(asked, "a", letter);
	CHECK_TEXT(end(asked, "a"), "efgh");
	kb_nats_asked_free(asked);
	kb_nats_asked_free(NULL);
	return check_failures ? 1 : 0;
}
