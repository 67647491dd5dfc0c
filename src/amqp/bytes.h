/* Between the byte strings of librabbitmq and our slices; neither copies. */
#ifndef KB_AMQP_BYTES_H
#define KB_AMQP_BYTES_H

#include <amqp.h>
#include "core/slice.h"

static inline struct kb_slice kb_amqp_bytes_slice(amqp_bytes_t b)
{
	return kb_slice(b.bytes, b.len);
}

/* For calls that only read, in spite of their types. */
static inline amqp_bytes_t kb_amqp_bytes_of(struct kb_slice s)
{
	return (amqp_bytes_t){s.n, (void *)(uintptr_t)s.p};
}

#endif
