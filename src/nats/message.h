/* The parts of a NATS message: which subjects and headers may be sent. */
#ifndef KB_NATS_MESSAGE_H
#define KB_NATS_MESSAGE_H

#include "core/message.h"

/* Bytes that a server takes for the subject, the reply subject and the sizes of one message (max_control_line). It
 * closes the connection over a longer line, so none is sent. */
enum { KB_NATS_LINE_MAX = 4096 - 32 };

/* NULL when messages can be published under the subject, else why not: no wildcards, no blanks, no empty words. */
const char *kb_nats_subject_fault(struct kb_slice subject);

/* The same for subscriptions, where the words `*` and, at the end, `>` are wildcards. */
const char *kb_nats_pattern_fault(struct kb_slice pattern);

/* NULL for one word of a subject that is no wildcard: the name of a stream, of a consumer. */
const char *kb_nats_word_fault(struct kb_slice word);

/* NULL when the headers (see kb_headers_next()) can be sent, else why not. *size: their bytes on the wire. */
const char *kb_nats_headers_fault(struct kb_slice headers, size_t *size);

/* Visible ASCII without a colon, and not empty. */
bool kb_nats_is_header_name(struct kb_slice name);

#endif
