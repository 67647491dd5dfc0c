#include "core/json_rewrite.h"

#include "core/json_copy.h"
#include "core/json_unique.h"

struct rewrite {
	const struct kb_json_edit *edits;
	size_t n_edits;
	bool present[KB_JSON_EDITS_MAX];
	size_t written; /* members in the result so far */
	struct kb_json_unique keys;
};

static const struct kb_json_edit *edit_for(const struct rewrite *r, struct kb_slice raw_key, bool escaped)
{
	for (size_t i = 0; i < r->n_edits; i++)
		if (kb_json_key_is(raw_key, escaped, r->edits[i].key))
			return &r->edits[i];
	return NULL;
}

static void begin_member(struct rewrite *r, struct kb_buf *out)
{
	if (r->written++)
		kb_buf_append_byte(out, ',');
}

/* Puts `prefix` into the string that was just written at `at`. False: there is no string, or it is empty. */
static bool put_prefix(struct kb_buf *out, size_t at, struct kb_slice prefix)
{
	size_t n = out->n - at;
	if (out->failed || n <= 2 || out->p[at] != '"')
		return false;
	struct kb_buf quoted = {0};
	kb_json_quote(prefix, &quoted);
	if (!kb_buf_reserve(out, quoted.n) || quoted.failed) {
		out->failed = true;
	} else {
		size_t more = quoted.n - 2;
		memmove(out->p + at + 1 + more, out->p + at + 1, n - 1);
		memcpy(out->p + at + 1, quoted.p + 1, more);
		out->n += more;
	}
	kb_buf_free(&quoted);
	return true;
}

static bool is_null(const struct kb_buf *out, size_t value_at)
{
	return !out->failed && kb_slice_equal(kb_slice(out->p + value_at, out->n - value_at), KB_SLICE_LITERAL("null"));
}

static bool keeps_member(const struct kb_json_edit *edit, struct kb_buf *out, size_t value_at)
{
	return !edit || (edit->rule == KB_JSON_ADD_IF_ABSENT && !is_null(out, value_at)) ||
		   (edit->rule == KB_JSON_PREFIX && put_prefix(out, value_at, edit->value));
}

static bool rewrite_member(struct kb_json_scan *s, struct rewrite *r, struct kb_buf *out)
{
	struct kb_slice raw;
	size_t before = out->n;
	begin_member(r, out);
	size_t key_at = out->n;
	if (!kb_json_copy_key(s, out, &raw))
		return false;
	const struct kb_json_edit *edit = edit_for(r, raw, s->escaped);
	kb_json_unique_note(&r->keys, out, key_at, s->escaped);
	size_t value_at = out->n;
	if (!kb_json_copy_value(s, out))
		return false;
	bool keeps = keeps_member(edit, out, value_at);
	if (edit && keeps)
		r->present[edit - r->edits] = true;
	if (!keeps) {
		out->n = before;
		r->written--;
	}
	return true;
}

static void append_edits(struct rewrite *r, struct kb_buf *out)
{
	for (size_t i = 0; i < r->n_edits; i++) {
		const struct kb_json_edit *edit = &r->edits[i];
		if (edit->rule == KB_JSON_REMOVE || edit->rule == KB_JSON_PREFIX ||
			(edit->rule == KB_JSON_ADD_IF_ABSENT && r->present[i]))
			continue;
		begin_member(r, out);
		kb_json_quote(edit->key, out);
		kb_buf_append_byte(out, ':');
		if (edit->number)
			kb_buf_append_slice(out, edit->value);
		else
			kb_json_quote(edit->value, out);
	}
}

static bool rewrite_object(struct kb_json_scan *s, struct rewrite *r, struct kb_buf *out)
{
	size_t from = out->n;
	kb_json_scan_blanks(s);
	if (s->p == s->end || *s->p != '{')
		return kb_json_scan_fail(s, "not a JSON object");
	s->p++;
	s->depth = 1;
	kb_buf_append_byte(out, '{');
	for (bool first = true;; first = false) {
		enum kb_json_step step = kb_json_scan_next(s, '}', first);
		if (step == KB_JSON_BROKEN)
			return false;
		if (step == KB_JSON_CLOSED)
			break;
		if (!rewrite_member(s, r, out))
			return false;
	}
	kb_json_scan_blanks(s);
	if (s->p != s->end)
		kb_json_scan_lose(s, "text behind the object ignored", s->p);
	append_edits(r, out);
	kb_buf_append_byte(out, '}');
	if (r->keys.suspect)
		kb_json_unique_keep_last(s, out, from);
	return out->failed ? kb_json_scan_fail(s, "out of memory") : true;
}

bool kb_json_rewrite(struct kb_slice text, const struct kb_json_edit *edits, size_t n_edits, struct kb_buf *out,
	struct kb_json_error *error)
{
	struct kb_json_scan s = kb_json_scan_of(text);
	struct rewrite r;
	size_t before = out->n;
	memset(&r, 0, offsetof(struct rewrite, keys.seen));
	r.edits = edits;
	r.n_edits = n_edits < KB_JSON_EDITS_MAX ? n_edits : KB_JSON_EDITS_MAX;
	bool good = rewrite_object(&s, &r, out);
	if (!good)
		out->n = before;
	*error = good ? s.lost : s.error;
	return good;
}
