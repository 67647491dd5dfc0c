#include "kamailio/glue/log_sink.h"

#include <core/dprint.h>

#include <string.h>

#include "core/log.h"

static void to_kamailio(enum kb_log_level level, const char *line)
{
	static const int levels[] = {L_ERR, L_WARN, L_NOTICE, L_INFO, L_DBG};
	/* Lines of src/nats begin with the name of the module already. */
	const char *prefix = strncmp(line, MOD_NAME ":", sizeof MOD_NAME) == 0 ? "" : MOD_NAME ": ";
	/* Not LM_*, which would log the function and line of this call each time. */
	LOG_FX(DEFAULT_FACILITY, levels[level], NULL, prefix, NULL, "%s\n", line);
}

void kb_log_sink_install(void)
{
	kb_log_set_sink(to_kamailio);
}
