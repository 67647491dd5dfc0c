/* Credentials and TLS: the parameters of the nats module that hold or name secrets. */
#ifndef KB_KAMAILIO_NATS_SECURITY_H
#define KB_KAMAILIO_NATS_SECURITY_H

#include <stdbool.h>

#include "nats/options.h"

/* In mod_init, after kn_settings_check(): checks credentials and TLS. False and a log line, which never contains a
 * secret. */
bool kn_security_check(void);

/* What the parameters say, for kn_broker_config(). The strings stay valid. */
struct kb_nats_credentials kn_security_credentials(void);
struct kb_tls_options kn_security_tls(void);

#endif
