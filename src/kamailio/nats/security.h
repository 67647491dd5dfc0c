/* Credentials and TLS: the parameters of the nats module that hold or name secrets. */
#ifndef KB_KAMAILIO_NATS_SECURITY_H
#define KB_KAMAILIO_NATS_SECURITY_H

#include <stdbool.h>

#include "nats/options.h"

/* In mod_init: as kn_settings_check(), for credentials and TLS; no line holds a secret. */
bool kn_security_check(void);

/* As the parameters say. The strings stay valid. */
struct kb_nats_credentials kn_security_credentials(void);
struct kb_tls_options kn_security_tls(void);

#endif
