/* Whether a configuration of TLS can be used, without a type of GnuTLS. */
#ifndef KB_BROKER_TLS_OPTIONS_H
#define KB_BROKER_TLS_OPTIONS_H

#include "broker/broker.h"

/* NULL, or which file cannot be used, and why; valid until the next call. */
const char *kb_tls_check(const struct kb_broker_tls *config);

#endif
