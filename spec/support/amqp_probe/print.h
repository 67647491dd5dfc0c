/* Messages as JSON. It is written byte by byte: what is no control character passes as it is, so a payload that is not
 * UTF-8 survives. */
#ifndef KB_SPEC_AMQP_PROBE_PRINT_H
#define KB_SPEC_AMQP_PROBE_PRINT_H

#include <amqp.h>

/* One object and the end of the line, on standard output. */
void probe_print_envelope(const amqp_envelope_t *envelope);

#endif
