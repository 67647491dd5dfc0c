/* Base64 (RFC 4648, section 4), as JetStream's JSON carries bytes. */
#ifndef KB_NATS_BASE64_H
#define KB_NATS_BASE64_H

#include "core/buf.h"

/* Appends the bytes that `text` stands for; the padding may be missing, blanks are wrong. False when it is not base64,
 * and nothing is appended; or when memory is out (out->failed). */
bool kb_nats_base64_decode(struct kb_slice text, struct kb_buf *out);

#endif
