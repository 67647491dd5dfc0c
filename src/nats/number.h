/* Numbers in what a server sends. */
#ifndef KB_NATS_NUMBER_H
#define KB_NATS_NUMBER_H

#include "core/number.h"

/* 0 when the text is not a number of 64 bits: the protocols here count from 1, or mean "none" by 0. */
static inline uint64_t kb_nats_number(struct kb_slice text)
{
	uint64_t number = 0;
	kb_number_read(text, UINT64_MAX, &number);
	return number;
}

#endif
