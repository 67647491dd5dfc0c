/* The Lua sources compiled into the library: lua/kemibus/ and the host's own side. */
#ifndef KB_POLICY_EMBEDDED_H
#define KB_POLICY_EMBEDDED_H

#include <stddef.h>

struct kb_embedded {
	const char *name; /* as `require` names it: "kemibus.routes" */
	const char *text; /* not NUL-terminated */
	size_t n;
};

extern const struct kb_embedded kb_embedded[]; /* ends with a name of NULL */

#endif
