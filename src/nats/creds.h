/* What files with credentials hold (docs.nats.io, "NATS NKeys and JWT"). */
#ifndef KB_NATS_CREDS_H
#define KB_NATS_CREDS_H

#include "core/slice.h"

/* The seed in the text of a file: a line SU..., alone, or in a creds file between its BEGIN and END lines. Empty: there
 * is none. */
struct kb_slice kb_nats_creds_seed(struct kb_slice text);

/* The JWT of a creds file; empty: there is none. */
struct kb_slice kb_nats_creds_jwt(struct kb_slice text);

#endif
