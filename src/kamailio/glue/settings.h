/* Checking parameters, for both modules. */
#ifndef KB_KAMAILIO_GLUE_SETTINGS_H
#define KB_KAMAILIO_GLUE_SETTINGS_H

#include <stdbool.h>

/* False and a log line that names the parameter, its value and the bounds. */
bool kb_settings_in_range(const char *name, int value, int least, int most);

/* The address for a log line, its password replaced by ***; in a buffer of the function's own. */
const char *kb_settings_without_password(const char *url);

#endif
