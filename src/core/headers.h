/*
 * The headers of a message: a sequence of names and values, each behind its length (a uint32_t, not aligned), in the
 * order given.
 */
#ifndef KB_CORE_HEADERS_H
#define KB_CORE_HEADERS_H

#include "core/buf.h"

/* Appends one header. Check headers->failed. */
void kb_headers_add(struct kb_buf *headers, struct kb_slice name, struct kb_slice value);

/* Takes the first header off *rest; false at the end. */
bool kb_headers_next(struct kb_slice *rest, struct kb_slice *name, struct kb_slice *value);

/* The value of the first header of that name; its p is NULL only when there is no such header. */
struct kb_slice kb_headers_find(struct kb_slice headers, struct kb_slice name);

/* Reads `k=v;k2=v2` (kazoo manual, 5.1.1). False when a part has no `=`; *bad then holds the part. */
bool kb_headers_parse(struct kb_slice text, struct kb_buf *headers, struct kb_slice *bad);

#endif
