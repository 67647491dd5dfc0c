/* NATS keys (docs.nats.io, "NATS NKeys"): an Ed25519 seed in base32 with a prefix and a checksum. */
#ifndef KB_NATS_NKEY_H
#define KB_NATS_NKEY_H

#include "core/buf.h"

/* The seed in a text that may hold more: a line SU..., alone in its file or in that of a creds file between its BEGIN
 * and END lines. Empty: none. */
struct kb_slice kb_nats_seed_find(struct kb_slice text);

/* The JWT of a creds file; empty: none. */
struct kb_slice kb_nats_jwt_find(struct kb_slice text);

/* Appends the public key U... of a seed. NULL, or what is wrong with the seed, without repeating it. */
const char *kb_nats_nkey_public(struct kb_slice seed, struct kb_buf *to);

/* Appends the signature of `text` in base64url without padding. NULL, or what is wrong with the seed. */
const char *kb_nats_nkey_sign(struct kb_slice seed, struct kb_slice text, struct kb_buf *to);

#endif
