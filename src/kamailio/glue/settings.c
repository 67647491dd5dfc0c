#include "kamailio/glue/settings.h"

#include <core/dprint.h>

#include <stdio.h>
#include <string.h>

bool kb_settings_in_range(const char *name, int value, int least, int most)
{
	if (value >= least && value <= most)
		return true;
	LM_ERR("%s: %d must be between %d and %d\n", name, value, least, most);
	return false;
}

const char *kb_settings_without_password(const char *url)
{
	static char shown[300];
	const char *scheme = strstr(url, "://"), *at = strrchr(url, '@');
	const char *user = scheme ? scheme + 3 : url;
	if (!at || at < user)
		return url;
	const char *colon = memchr(user, ':', (size_t)(at - user));
	snprintf(shown, sizeof shown, "%.*s***%s", (int)((colon ? colon + 1 : user) - url), url, at);
	return shown;
}
