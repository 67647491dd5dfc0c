/* Reading decimal numbers from text. */
#ifndef KB_CORE_NUMBER_H
#define KB_CORE_NUMBER_H

#include "core/slice.h"

/* True when `text` is one or more decimal digits and nothing else, and its value is at most `max`; leading zeros are
 * fine. False leaves *number as it is. */
bool kb_number_read(struct kb_slice text, uint64_t max, uint64_t *number);

#endif
