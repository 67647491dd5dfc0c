/* Reading decimal numbers from text. */
#ifndef KB_CORE_NUMBER_H
#define KB_CORE_NUMBER_H

#include "core/slice.h"

/* True when `text` is one or more decimal digits and nothing else, and its value is at most `max`; leading zeros are
 * fine. False leaves *number as it is. */
bool kb_number_read(struct kb_slice text, uint64_t max, uint64_t *number);

/* The same for digits that may follow a minus sign, with a value from -max - 1 to max, the range of a signed type whose
 * largest value is `max` (INT_MAX, INT64_MAX). */
bool kb_number_read_signed(struct kb_slice text, int64_t max, int64_t *number);

#endif
