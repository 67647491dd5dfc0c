/* Which subjects can be published to and subscribed to. */
#ifndef KB_NATS_SUBJECT_H
#define KB_NATS_SUBJECT_H

#include "core/slice.h"

/* Bytes that a server takes for the subject, the reply subject and the sizes of one message (max_control_line). It
 * closes the connection over a longer line, so none is sent. */
enum { KB_NATS_LINE_MAX = 4096 - 32 };

/* NULL when messages can be published to the subject, else why not: wildcards, blanks and empty words are refused. */
const char *kb_nats_subject_fault(struct kb_slice subject);

/* The same for subscriptions, where the words `*` and, at the end, `>` are wildcards. */
const char *kb_nats_subject_pattern_fault(struct kb_slice pattern);

/* NULL for one word of a subject that is not a wildcard: the name of a stream, of a consumer. Else why not. */
const char *kb_nats_subject_word_fault(struct kb_slice word);

#endif
