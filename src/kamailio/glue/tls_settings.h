/* What both modules check about TLS at the start. */
#ifndef KB_KAMAILIO_GLUE_TLS_SETTINGS_H
#define KB_KAMAILIO_GLUE_TLS_SETTINGS_H

#include <stdbool.h>

#include "net/tls_options.h"

/* In mod_init. False and a log line when a file cannot be used. Warns of verification that is off, with the names of
 * the parameters. */
bool kb_tls_settings_check(
	const struct kb_tls_options *tls, const char *prefix, const char *verify_peer, const char *verify_name);

/* "", which is how a configuration unsets a file, is NULL. */
const char *kb_tls_settings_file(const char *name);

#endif
