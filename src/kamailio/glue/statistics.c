#include "kamailio/glue/statistics.h"

#include <core/counters.h>
#include <core/dprint.h>

static counter_val_t read_statistic(counter_handle_t handle, void *parameter)
{
	const struct kb_statistic *s = parameter;
	(void)handle;
	return (counter_val_t)s->read(s->argument);
}

bool kb_statistics_register(const char *group, const struct kb_statistic *list)
{
	for (const struct kb_statistic *s = list; s->name; s++) {
		counter_handle_t handle;
		if (counter_register(
				&handle, group, s->name, CNT_F_NO_RESET, read_statistic, (void *)(uintptr_t)s, s->what, 0) < 0) {
			LM_ERR("cannot register statistic %s:%s\n", group, s->name);
			return false;
		}
	}
	return true;
}
