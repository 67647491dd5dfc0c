/* Private to json*.c: moving through JSON text, and writing it in strict form on the way. */
#ifndef KB_CORE_JSON_SCAN_H
#define KB_CORE_JSON_SCAN_H

#include "core/json.h"

/* A position in the text, and the first thing found wrong with it. */
struct kb_json_scan {
	const char *start, *p, *end;
	int depth;
	bool escaped; /* an escape was passed since this was cleared */
	struct kb_json_error error;
};

enum kb_json_step { KB_JSON_ITEM, KB_JSON_CLOSED, KB_JSON_BROKEN };

struct kb_json_scan kb_json_scan_of(struct kb_slice text);

/* Notes what is wrong at s->p, unless something was before; always false. */
bool kb_json_fail(struct kb_json_scan *s, const char *what);

void kb_json_skip_blanks(struct kb_json_scan *s);

/* True at a quote of either kind. */
bool kb_json_at_string(const struct kb_json_scan *s);

/* Steps to the next item inside an open bracket. */
enum kb_json_step kb_json_next_item(struct kb_json_scan *s, char close, bool first);

/* -- copying: each appends the strict form to `out`, or only moves when it is NULL -- */

/* A key, and past its colon; *raw is its source, s->escaped whether it holds an escape. */
bool kb_json_copy_key(struct kb_json_scan *s, struct kb_buf *out, struct kb_slice *raw);

/* The value at s->p. Recursion is bounded by KB_JSON_DEPTH_MAX. */
bool kb_json_copy_value(struct kb_json_scan *s, struct kb_buf *out);

/* The contents of a string up to its quote, or to the end of the text when quote is 0. */
bool kb_json_copy_contents(struct kb_json_scan *s, char quote, struct kb_buf *out);

/* One character that is not ASCII; what is not UTF-8 becomes U+FFFD. */
void kb_json_copy_wide(struct kb_json_scan *s, struct kb_buf *out);

/* -- pieces of strings -- */

/* Moves past bytes that need no thought, eight at a time; what is left over is for the caller's own test. */
const char *kb_json_skip_plain(const char *p, const char *end);

/* The code point of the \u escape whose digits start at s->p, which moves past it, or past both halves of a surrogate
 * pair. A half alone becomes U+FFFD. -1: no hex digits. */
long kb_json_read_code_point(struct kb_json_scan *s);

/* Whether the key with the source `raw`, quotes and all, is `key`; `escaped` as kb_json_copy_key() left it. */
bool kb_json_key_is(struct kb_slice raw, bool escaped, struct kb_slice key);

#endif
