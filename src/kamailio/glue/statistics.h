/* Statistics of the core. */
#ifndef KB_KAMAILIO_GLUE_STATISTICS_H
#define KB_KAMAILIO_GLUE_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One number, as a statistic of the core and as a line of the RPC command MODULE.stats. */
struct kb_statistic {
	const char *name, *what;
	uint64_t (*read)(size_t argument);
	size_t argument;
};

/* In mod_init, with a list that ends with a name of NULL. False and a log line on failure. */
bool kb_statistics_register(const char *group, const struct kb_statistic *list);

#endif
