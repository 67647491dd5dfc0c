/* core/json and the Lua host's decoder on broken texts, each in a block of memory of its very length: what reads too
 * far is caught by the sanitizer. */
#include "core/json.h"
#include "core/json_rewrite.h"

#include <stdint.h>
#include <stdlib.h>
#include "check.h"
#include "core/message.h"
#include "policy/policy.h"

static uint64_t state = 20260117;

static size_t random_below(size_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (size_t)(state % n);
}

static const char *const seeds[] = {
	("{\"Event-Category\":\"presence\",\"Event-Name\":\"update\",\"a\":[1,-2.5e+3,true,null,{\"b\":[]}],\"c\":"
	 "\"\\u00e9\\n\"}"),
	"{'a':'it\\'s','b':[007,TRUE,],'c':{\"d\":\"\\ud83d\\ude00\"},}",
	"{\"a\":\"\xc3\xa9\xf0\x9f\x98\x80\",\"b\":\"\\ud800\",\"c\":\"\\\\\"}",
	"[[[[[[{\"a\":[{\"b\":{\"c\":[0]}}]}]]]]]]",
	"\"\\u0000\"",
	"",
};

static const char bytes[] = "{}[]\",:'\\u0tfn-+.eE19 \n\xc3\xa9\xed\xa0\x80\xf4\x90\xff";

static void mutate(struct kb_buf *text)
{
	for (size_t i = random_below(4); i > 0 && text->n > 0; i--) {
		size_t at = random_below(text->n), cut = random_below(3);
		switch (random_below(4)) {
		case 0: text->p[at] = bytes[random_below(sizeof bytes)]; break;
		case 1: text->n = at; break;
		case 2:
			if (at + cut <= text->n) {
				memmove(text->p + at, text->p + at + cut, text->n - at - cut);
				text->n -= cut;
			}
			break;
		default: kb_buf_append_byte(text, bytes[random_below(sizeof bytes)]);
		}
	}
}

static bool touch(void *context, struct kb_slice key, struct kb_json_value value)
{
	struct kb_buf out = {0};
	kb_json_text(value, &out);
	kb_json_quote(key, &out);
	*(size_t *)context += out.n + kb_json_count(value);
	kb_buf_free(&out);
	return true;
}

/* What was written must be what a second pass leaves as it is, and what the Lua host reads. */
static void check_written(struct kb_policy *policy, struct kb_slice written)
{
	struct kb_buf again = {0};
	struct kb_json_error error;
	struct kb_message m = {.origin = {.subscription = KB_ORIGIN_EVENT - 1}};
	CHECK(kb_json_rewrite(written, NULL, 0, &again, &error));
	CHECK(kb_slice_equal(kb_buf_slice(&again), written));
	CHECK(kb_policy_route(policy, &m, written) == 0);
	kb_buf_free(&again);
}

static void check_one(struct kb_policy *policy, struct kb_slice text)
{
	static const struct kb_json_edit edits[] = {
		{KB_SLICE_LITERAL("Node"), KB_SLICE_LITERAL("\"x\"\n"), false, KB_JSON_ADD_IF_ABSENT},
		{KB_SLICE_LITERAL("a"), KB_SLICE_LITERAL("1"), true, KB_JSON_SET},
		{KB_SLICE_LITERAL("b"), {NULL, 0}, false, KB_JSON_REMOVE}};
	struct kb_buf out = {0};
	struct kb_json_error error;
	struct kb_message m = {.origin = {.subscription = 0}};
	size_t sum = 0;
	if (kb_json_rewrite(text, edits, 3, &out, &error))
		check_written(policy, kb_buf_slice(&out));
	else
		CHECK(error.what && error.at <= text.n && out.n == 0);
	kb_json_each(text, touch, &sum);
	kb_json_get(text, KB_SLICE_LITERAL("a[4].b"), '%');
	kb_json_get(text, KB_SLICE_LITERAL("[0][0].a"), '%');
	int route = kb_policy_route(policy, &m, text);
	CHECK(route == 0 || route == KB_POLICY_UNREADABLE);
	kb_buf_free(&out);
}

static int any_route(const char *name, void *context)
{
	(void)context;
	return strcmp(name, "kazoo:consumer-event") == 0 ? 0 : -1;
}

static void reads_no_byte_too_far(void)
{
	struct kb_buf error = {0};
	struct kb_policy_config config = {.bus = "kazoo", .route_index = any_route};
	struct kb_policy *policy = kb_policy_open(&config, &error);
	for (int i = 0; i < 100 * 1000; i++) {
		struct kb_buf text = {0};
		const char *seed = seeds[random_below(sizeof seeds / sizeof *seeds)];
		kb_buf_append(&text, seed, strlen(seed));
		mutate(&text);
		char *exact = malloc(text.n ? text.n : 1);
		if (text.n)
			memcpy(exact, text.p, text.n);
		check_one(policy, kb_slice(exact, text.n));
		free(exact);
		kb_buf_free(&text);
	}
	kb_policy_close(policy);
}

static void takes_texts_without_memory(void)
{
	struct kb_buf out = {0};
	struct kb_json_error error;
	size_t sum = 0;
	CHECK(!kb_json_rewrite(kb_slice(NULL, 0), NULL, 0, &out, &error));
	CHECK(kb_json_get(kb_slice(NULL, 0), KB_SLICE_LITERAL("a"), '%').type == KB_JSON_NONE);
	CHECK(kb_json_get(kb_slice(NULL, 0), kb_slice(NULL, 0), '%').type == KB_JSON_NONE);
	CHECK(!kb_json_each(kb_slice(NULL, 0), touch, &sum));
	kb_json_quote(kb_slice(NULL, 0), &out);
	CHECK(out.n == 2);
	kb_buf_free(&out);
}

int main(void)
{
	reads_no_byte_too_far();
	takes_texts_without_memory();
	return check_failures ? 1 : 0;
}
