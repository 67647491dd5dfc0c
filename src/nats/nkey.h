/* NATS keys (docs.nats.io, "NATS NKeys"): an Ed25519 seed in base32 with a prefix and a checksum. */
#ifndef KB_NATS_NKEY_H
#define KB_NATS_NKEY_H

#include "core/buf.h"

enum { KB_NATS_NKEY_SEED_CHARS = 58 };

/* The digits of base32 (RFC 4648). */
#define KB_NATS_NKEY_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

/* Appends the public key U... of a seed. NULL, or what is wrong with the seed, without repeating it. */
const char *kb_nats_nkey_public(struct kb_slice seed, struct kb_buf *to);

/* Appends the signature of `text` in base64url without padding. NULL, or what is wrong with the seed. */
const char *kb_nats_nkey_sign(struct kb_slice seed, struct kb_slice text, struct kb_buf *to);

#endif
