/*
 * JSON as text: checking and looking up, without building a tree; json_rewrite.h edits it.
 *
 * Read leniently, as json-c reads it and scripts write it: strings and keys in single quotes, control characters inside
 * strings, comments, a comma before a closing bracket, literals in any case, NaN and Infinity, numbers such as 007, 1.
 * and 2e, anything behind the value. Written strictly (RFC 8259), without blanks: bytes that are not UTF-8 become
 * U+FFFD, NaN and Infinity null. Nesting is bounded by KB_JSON_DEPTH_MAX, lengths only by the caller.
 */
#ifndef KB_CORE_JSON_H
#define KB_CORE_JSON_H

#include "core/buf.h"

enum { KB_JSON_DEPTH_MAX = 256 };

enum kb_json_type {
	KB_JSON_NONE, /* absent, or not JSON */
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

/* Whether the key with the source `raw`, quotes and all, is `key`; `escaped`: there may be an escape in `raw`. */
bool kb_json_key_is(struct kb_slice raw, bool escaped, struct kb_slice key);

#endif
