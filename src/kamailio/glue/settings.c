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

/* The password before an `@`, the last one: a password may hold others. */
static const char *password_of_user(const char *url, const char **end)
{
	const char *scheme = strstr(url, "://"), *at = strrchr(url, '@');
	const char *user = scheme ? scheme + 3 : url;
	*end = at;
	if (!at || at < user)
		return NULL;
	const char *colon = memchr(user, ':', (size_t)(at - user));
	return colon ? colon + 1 : user;
}

/* That of a key, in the query of an address. */
static const char *password_of_key(const char *url, const char **end)
{
	const char *query = strchr(url, '?'), *found = query ? strcasestr(query, "password=") : NULL;
	if (!found)
		return NULL;
	found += strlen("password=");
	*end = found + strcspn(found, "&");
	return found;
}

const char *kb_settings_without_password(const char *url)
{
	static char shown[300];
	const char *end, *rest = url, *password = password_of_user(url, &end);
	size_t n = 0;
	shown[0] = '\0';
	if (password) {
		n += (size_t)snprintf(shown, sizeof shown, "%.*s***", (int)(password - url), url);
		rest = end;
	}
	password = password_of_key(rest, &end);
	if (n < sizeof shown && password)
		snprintf(shown + n, sizeof shown - n, "%.*s***%s", (int)(password - rest), rest, end);
	else if (n < sizeof shown)
		snprintf(shown + n, sizeof shown - n, "%s", rest);
	return shown;
}
