/* What both modules need to read their parameters and to be loaded. */
#ifndef KB_KAMAILIO_GLUE_SETTINGS_H
#define KB_KAMAILIO_GLUE_SETTINGS_H

#include <stdbool.h>

/* False and a log line that names the parameter, its value and the bounds. */
bool kb_settings_in_range(const char *name, int value, int least, int most);

/* The address for a log line, its password replaced by ***; in a buffer of the function's own. */
const char *kb_settings_without_password(const char *url);

/* In mod_register: asks the core to load the module with RTLD_DEEPBIND. True when it already is; else the core loads it
 * again and calls mod_register again. app_lua brings PUC Lua with global symbols of the same names as LuaJIT's, which
 * must not win (docs/architecture.md). */
bool kb_deep_bind_ensure(int *dlflags);

#endif
