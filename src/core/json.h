/*
 * JSON as text: checking, rewriting and looking up, without building a tree.
 *
 * Read leniently, as scripts write it: strings and keys in single quotes, control characters inside strings, a comma
 * before a closing bracket, literals in any case, numbers with leading zeros. Written strictly (RFC 8259), without
 * blanks: bytes that are not UTF-8 become U+FFFD. Nesting is bounded by KB_JSON_DEPTH_MAX, lengths only by the caller.
 */
#ifndef KB_CORE_JSON_H
#define KB_CORE_JSON_H

#include "core/buf.h"

enum { KB_JSON_DEPTH_MAX = 256 };

enum kb_json_type {
	KB_JSON_NONE, /* nothing there, or not JSON */
	KB_JSON_NULL,
	KB_JSON_FALSE,
	KB_JSON_TRUE,
	KB_JSON_NUMBER,
	KB_JSON_STRING,
	KB_JSON_ARRAY,
	KB_JSON_OBJECT
};

/* A value inside a text; `raw` is its source, quotes and all, and points into that text. */
struct kb_json_value {
	enum kb_json_type type;
	struct kb_slice raw;
};

struct kb_json_error {
	const char *what; /* a sentence without the place */
	size_t at;        /* byte offset */
};

enum kb_json_rule {
	KB_JSON_ADD_IF_ABSENT, /* append unless the object has the key, whatever its value */
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

/* Appends `text`, which must be one JSON object, to `out` as strict JSON with the edits made. On failure fills *error
 * and leaves `out` as it was. */
bool kb_json_rewrite(struct kb_slice text, const struct kb_json_edit *edits, size_t n_edits, struct kb_buf *out,
	struct kb_json_error *error);

/* The value at `path`: keys divided by dots, array indices in brackets (`Channels[0].switch_url`); `escape` stands for
 * a dot inside a key. An empty path is the whole text. Of equal keys the last counts. */
struct kb_json_value kb_json_get(struct kb_slice text, struct kb_slice path, char escape);

/* The value under one key of an object, without the path syntax. */
struct kb_json_value kb_json_member(struct kb_slice object, struct kb_slice key);

/* Calls `each` for the members of an object in their order, or the items of an array (with an empty key), until it
 * returns false. The key is the decoded one and valid during the call. False when `text` is neither, or broken. */
bool kb_json_each(
	struct kb_slice text, bool (*each)(void *context, struct kb_slice key, struct kb_json_value value), void *context);

/* Items of an array; 0 for anything else. */
size_t kb_json_count(struct kb_json_value value);

/* Appends the value as a script sees it: the contents of a string, a number or literal as it is written, strict JSON
 * for the rest. */
void kb_json_text(struct kb_json_value value, struct kb_buf *out);

/* Appends the bytes as a JSON string, quotes included. */
void kb_json_quote(struct kb_slice contents, struct kb_buf *out);

#endif
