/* Loading a module so that its own libraries win over those that other modules have brought. */
#ifndef KB_KAMAILIO_GLUE_DEEP_BIND_H
#define KB_KAMAILIO_GLUE_DEEP_BIND_H

#include <stdbool.h>

/* In mod_register, with its dlflags. True when the module is loaded with RTLD_DEEPBIND. False asks the core to load the
 * module again with that flag, after which it calls mod_register again. app_lua brings PUC Lua with global symbols of
 * the same names as LuaJIT's, and the module must not use those (docs/architecture.md). */
bool kb_deep_bind_ensure(int *dlflags);

#endif
