/* Credentials and TLS: the parameters of the nats module that hold or name secrets. */
#ifndef KB_KAMAILIO_NATS_SECURITY_H
#define KB_KAMAILIO_NATS_SECURITY_H

#include <stdbool.h>

#include "bus/broker.h"

/* In mod_init: as kn_settings_check(), for credentials and TLS; no line holds a secret. */
bool kn_security_check(void);

/* Fills config->login and config->tls. */
void kn_security_apply(struct kb_broker_config *config);

#endif
