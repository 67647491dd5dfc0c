#include "kamailio/glue/tls_settings.h"

#include <core/dprint.h>

#include "net/tls_options.h"

bool kb_tls_settings_check(
	const struct kb_tls_options *tls, const char *prefix, const char *any_peer, const char *any_name)
{
	const char *wrong = kb_tls_options_check(tls);
	if (wrong)
		LM_ERR("%s: %s\n", prefix, wrong);
	if (tls->any_peer)
		LM_WARN("%s: broker certificates are not verified, passwords and messages can be intercepted\n", any_peer);
	else if (tls->any_name)
		LM_WARN(
			"%s: host names are not verified, any certificate of the CA is accepted as that of a broker\n", any_name);
	return !wrong;
}

const char *kb_tls_settings_file(const char *name)
{
	return name && name[0] ? name : NULL;
}
