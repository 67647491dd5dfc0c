/* Private to json*.c: moving through JSON text and writing it in strict form on the way. Each appends to `out`, or only
 * moves when it is NULL. */
#ifndef KB_CORE_JSON_COPY_H
#define KB_CORE_JSON_COPY_H

#include "core/json_scan.h"

/* A key, and past its colon; *raw is its source, s->escaped whether it holds an escape. */
bool kb_json_copy_key(struct kb_json_scan *s, struct kb_buf *out, struct kb_slice *raw);

/* The value at s->p. Recursion is bounded by KB_JSON_DEPTH_MAX. */
bool kb_json_copy_value(struct kb_json_scan *s, struct kb_buf *out);

/* The contents of a string up to its quote, or to the end of the text when quote is 0. */
bool kb_json_copy_contents(struct kb_json_scan *s, char quote, struct kb_buf *out);

/* One character that is not ASCII; what is not UTF-8 becomes U+FFFD. */
void kb_json_copy_wide(struct kb_json_scan *s, struct kb_buf *out);

#endif
