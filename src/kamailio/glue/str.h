/* Kamailio's strings and ours. */
#ifndef KB_KAMAILIO_GLUE_STR_H
#define KB_KAMAILIO_GLUE_STR_H

#include <core/str.h>

#include <stdint.h>

#include "core/slice.h"

/* A str that is NULL or not longer than 0 becomes a slice of no bytes. */
static inline struct kb_slice kb_str_to_slice(const str *s)
{
	return (struct kb_slice){s->s, s->s && s->len > 0 ? (size_t)s->len : 0};
}

static inline str kb_str_from_slice(struct kb_slice s)
{
	return (str){(char *)(uintptr_t)s.p, (int)s.n};
}

#endif
