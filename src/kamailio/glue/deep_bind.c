#include "kamailio/glue/deep_bind.h"

#include <dlfcn.h>

bool kb_deep_bind_ensure(int *dlflags)
{
	bool bound = *dlflags & RTLD_DEEPBIND;
	*dlflags |= RTLD_DEEPBIND;
	return bound;
}
