/* core/json: PATH, a line end, and a text that may be JSON. */
#include "core/json.h"
#include "core/json_rewrite.h"

#include <lauxlib.h>
#include "fuzz.h"
#include "policy/codec.h"

static struct kb_slice text_of(struct kb_json_value value, struct kb_buf *to)
{
	kb_buf_clear(to);
	kb_json_text(value, to);
	MUST(!to->failed);
	return kb_buf_slice(to);
}

/* -- what the strict form means -- */

/* What the other reader of JSON, which is strict, makes of it, at stack index 1. */
static lua_State *decoded(struct kb_slice text)
{
	static lua_State *L;
	size_t at;
	if (!L)
		L = luaL_newstate();
	lua_settop(L, 0);
	MUST(kb_codec_decode(L, text, &at) == NULL);
	return L;
}

struct both {
	struct kb_slice text;
	lua_State *L; /* what it was decoded to, at stack index 1 */
};

static bool same_as_decoded(void *context, struct kb_slice key, struct kb_json_value value)
{
	struct both *object = context;
	struct kb_buf text = {0};
	lua_State *L = object->L;
	value = kb_json_member(object->text, key); /* of equal keys the last one counts */
	lua_pushlstring(L, key.p ? key.p : "", key.n);
	lua_rawget(L, 1);
	if (value.type == KB_JSON_STRING) {
		struct kb_slice theirs;
		theirs.p = lua_tolstring(L, -1, &theirs.n);
		MUST(theirs.p && kb_slice_equal(theirs, text_of(value, &text)));
	} else if (value.type == KB_JSON_OBJECT || value.type == KB_JSON_ARRAY) {
		MUST(lua_istable(L, -1));
	} else if (value.type == KB_JSON_NUMBER) {
		MUST(lua_type(L, -1) == LUA_TNUMBER);
	} else if (value.type == KB_JSON_NULL) {
		MUST(lua_islightuserdata(L, -1));
	} else {
		MUST(lua_isboolean(L, -1) && lua_toboolean(L, -1) == (value.type == KB_JSON_TRUE));
	}
	lua_settop(L, 1);
	kb_buf_free(&text);
	return true;
}

static void means_the_same(struct kb_json_value a, struct kb_json_value b)
{
	struct kb_buf first = {0}, second = {0};
	MUST(a.type == b.type);
	MUST(kb_slice_equal(text_of(a, &first), text_of(b, &second)));
	MUST(kb_json_count(a) == kb_json_count(b));
	kb_buf_free(&first);
	kb_buf_free(&second);
}

/* -- rewriting -- */

static void rewrites_to_the_same(struct kb_slice text, struct kb_slice path)
{
	struct kb_buf strict = {0}, again = {0};
	struct kb_json_error error = {0};
	if (kb_json_rewrite(text, NULL, 0, &strict, &error)) {
		struct kb_slice out = kb_buf_slice(&strict);
		MUST(kb_json_rewrite(out, NULL, 0, &again, &error) && kb_slice_equal(out, kb_buf_slice(&again)));
		means_the_same(kb_json_get(text, path, '%'), kb_json_get(out, path, '%'));
		MUST(kb_json_each(out, same_as_decoded, &(struct both){out, decoded(out)}));
	} else {
		MUST(error.what && error.at <= text.n && strict.n == 0);
	}
	kb_buf_free(&strict);
	kb_buf_free(&again);
}

static bool has_text(struct kb_slice object, struct kb_slice key, struct kb_slice wanted, bool prefix)
{
	struct kb_buf text = {0};
	struct kb_slice got = text_of(kb_json_member(object, key), &text);
	bool good = prefix ? got.n > wanted.n && memcmp(got.p, wanted.p, wanted.n) == 0 : kb_slice_equal(got, wanted);
	kb_buf_free(&text);
	return good;
}

static void makes_edits(struct kb_slice text)
{
	const struct kb_slice word = KB_SLICE_LITERAL("w'\"");
	const struct kb_json_edit edits[] = {{KB_SLICE_LITERAL("a"), word, false, KB_JSON_ADD_IF_ABSENT},
		{KB_SLICE_LITERAL("b"), KB_SLICE_LITERAL("17"), true, KB_JSON_SET},
		{KB_SLICE_LITERAL("c"), KB_SLICE_LITERAL(""), false, KB_JSON_REMOVE},
		{KB_SLICE_LITERAL("d"), word, false, KB_JSON_PREFIX}};
	struct kb_buf out = {0};
	struct kb_json_error error;
	bool had = kb_json_member(text, edits[0].key).type > KB_JSON_NULL;
	if (kb_json_rewrite(text, edits, sizeof edits / sizeof *edits, &out, &error)) {
		struct kb_slice edited = kb_buf_slice(&out);
		decoded(edited);
		MUST(had || has_text(edited, edits[0].key, word, false));
		MUST(has_text(edited, edits[1].key, edits[1].value, false));
		MUST(kb_json_member(edited, edits[2].key).type == KB_JSON_NONE);
		MUST(kb_json_member(edited, edits[3].key).type == KB_JSON_NONE || has_text(edited, edits[3].key, word, true));
	}
	kb_buf_free(&out);
}

/* -- quoting -- */

static void quotes(struct kb_slice bytes)
{
	struct kb_buf quoted = {0}, plain = {0}, again = {0};
	kb_json_quote(bytes, &quoted);
	struct kb_json_value value = kb_json_get(kb_buf_slice(&quoted), kb_slice(NULL, 0), '%');
	MUST(value.type == KB_JSON_STRING && value.raw.n == quoted.n);
	kb_json_quote(text_of(value, &plain), &again);
	MUST(kb_slice_equal(kb_buf_slice(&quoted), kb_buf_slice(&again)));
	lua_State *L = decoded(kb_buf_slice(&quoted));
	MUST(lua_objlen(L, 1) == plain.n && (!plain.n || memcmp(lua_tostring(L, 1), plain.p, plain.n) == 0));
	kb_buf_free(&quoted);
	kb_buf_free(&plain);
	kb_buf_free(&again);
}

static bool is_in(void *context, struct kb_slice key, struct kb_json_value value)
{
	(void)key;
	MUST(value.type != KB_JSON_NONE && value.raw.n > 0 && lies_in(value.raw, *(struct kb_slice *)context));
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct kb_slice text = kb_slice(bytes, size), path = take_line(&text);
	struct kb_json_value value = kb_json_get(text, path, '%');
	MUST(lies_in(value.raw, text) && (value.raw.n > 0) == (value.type != KB_JSON_NONE));
	kb_json_each(text, is_in, &text);
	rewrites_to_the_same(text, path);
	makes_edits(text);
	quotes(text);
	return 0;
}
