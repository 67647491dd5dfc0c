/* The TLS parameters of both modules. */
#ifndef KB_KAMAILIO_GLUE_TLS_SETTINGS_H
#define KB_KAMAILIO_GLUE_TLS_SETTINGS_H

#include <stdbool.h>

#include "net/tls_options.h"

/* In mod_init. False and a log line when a file cannot be used. Warns when verification is off; the other arguments say
 * for log lines what has switched it off, such as "tls_verify_peer is 0". */
bool kb_tls_settings_check(
	const struct kb_tls_options *tls, const char *prefix, const char *any_peer, const char *any_name);

/* NULL for "", with which a configuration unsets a file. */
const char *kb_tls_settings_file(const char *name);

#endif
