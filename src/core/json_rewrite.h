/* Rewriting a JSON object as text: checked, made strict, and with some of its keys edited. See json.h for what it reads
 * and writes. */
#ifndef KB_CORE_JSON_REWRITE_H
#define KB_CORE_JSON_REWRITE_H

#include "core/json.h"

enum kb_json_rule {
	KB_JSON_ADD_IF_ABSENT, /* append unless the object has the key, with a value other than null */
	KB_JSON_SET,           /* drop what the object has under the key, then append */
	KB_JSON_REMOVE,        /* drop what the object has under the key */
	KB_JSON_PREFIX /* put the value before what the object has there, when that is a string and not empty, else drop it
					*/
};

/* What kb_json_rewrite() does with one key of the outermost object. */
struct kb_json_edit {
	struct kb_slice key;
	struct kb_slice value;
	bool number; /* value is a JSON number, not the contents of a string */
	enum kb_json_rule rule;
};

enum { KB_JSON_EDITS_MAX = 16 };

/* Appends `text`, which must begin with a JSON object, to `out` as strict JSON with the edits made; of equal keys the
 * last stays. On failure fills *error and leaves `out` as it was. On success *error says what was left out of the text,
 * the first such thing and its place: a comment, NaN, equal keys, what comes behind the object. NULL: nothing. */
bool kb_json_rewrite(struct kb_slice text, const struct kb_json_edit *edits, size_t n_edits, struct kb_buf *out,
	struct kb_json_error *error);

#endif
