/* Base64 (RFC 4648, section 4), as JSON carries bytes. */
#ifndef KB_CORE_BASE64_H
#define KB_CORE_BASE64_H

#include "core/buf.h"

/* Appends the bytes that `text` stands for; it may lack its padding. False: it is no base64, and nothing was appended;
 * or memory is out (out->failed). */
bool kb_base64_decode(struct kb_slice text, struct kb_buf *out);

#endif
