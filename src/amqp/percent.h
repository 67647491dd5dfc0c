/* Percent-encoding of URIs (RFC 3986, 2.1). */
#ifndef KB_AMQP_PERCENT_H
#define KB_AMQP_PERCENT_H

#include <stdbool.h>

/* Replaces each %XX by its byte, in place. False when two digits do not follow a percent sign, or for %00, which no
 * text can hold: `text` is as it was then. */
bool kb_amqp_percent_decode(char *text);

#endif
