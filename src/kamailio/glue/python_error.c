#include "kamailio/glue/python_error.h"

#include <core/sr_module.h>

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

/* Functions of Python's C interface, in the version that the engine is linked with. */
struct python {
	int (*ensure)(void); /* PyGILState_Ensure(); the engine makes its own calls between this and PyGILState_Release() */
	void (*release)(int);
	int (*matches)(void *);
	void (*clear)(void);
	void **attribute_error;
};

static void *symbol(const char *name)
{
	static const char *const engines[] = {"app_python3", "app_python3s", "app_python"};
	for (size_t i = 0; i < sizeof engines / sizeof *engines; i++) {
		struct sr_module *module = find_module_by_name((char *)(uintptr_t)engines[i]);
		if (module)
			return dlsym(module->handle, name);
	}
	return NULL;
}

static const struct python *python(void)
{
	static struct python found;
	if (found.clear)
		return &found;
	*(void **)&found.ensure = symbol("PyGILState_Ensure");
	*(void **)&found.release = symbol("PyGILState_Release");
	*(void **)&found.matches = symbol("PyErr_ExceptionMatches");
	found.attribute_error = symbol("PyExc_AttributeError");
	if (found.ensure && found.release && found.matches && found.attribute_error)
		*(void **)&found.clear = symbol("PyErr_Clear");
	return found.clear ? &found : NULL;
}

bool kb_python_error_is_missing_function(void)
{
	const struct python *p = python();
	if (!p)
		return false;
	int state = p->ensure();
	bool missed = p->matches(*p->attribute_error) != 0;
	p->clear();
	p->release(state);
	return missed;
}
