#include "kamailio/glue/kemi.h"

#include <core/kemi.h>
#include <core/sr_module.h>

#include <stddef.h>
#include <stdint.h>

bool kb_kemi_is_present(void)
{
	static const char *const engines[] = {"app_lua", "app_python", "app_python3", "app_python3s", "app_jsdt",
		"app_ruby", "app_ruby_proc", "app_sqlang", "app_perl", "app_mono"};
	for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
		if (module_loaded((char *)(uintptr_t)engines[i]))
			return true;
	return sr_kemi_eng_get() != NULL;
}
