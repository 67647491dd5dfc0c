/* The encoding of one word of an AMQP routing key (kazoo manual, 5.3.1: kazoo_encode, {kz.encode}). */
#ifndef KB_CORE_ROUTING_KEY_H
#define KB_CORE_ROUTING_KEY_H

#include "core/buf.h"

enum { KB_ROUTING_KEY_MAX = 255 }; /* bytes: a short string of AMQP 0-9-1, 4.2.5.3 */

/* Appends the encoded word: letters, digits, `-`, `_` and `~` stay, a blank becomes `+`, the rest `%XX`; a lone `#` or
 * `*`, a wildcard of topic exchanges, stays as it is. Check out->failed. */
void kb_routing_key_encode(struct kb_slice word, struct kb_buf *out);

#endif
