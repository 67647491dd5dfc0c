#include "kamailio/glue/log_sink.h"

#include <core/dprint.h>

#include <string.h>

#include "core/log.h"

static void to_kamailio(enum kb_log_level level, const char *line)
{
	static const int levels[] = {L_ERR, L_WARN, L_NOTICE, L_INFO, L_DBG};
	/* Lines of the NATS broker begin with the module's own name already. */
	const char *prefix = strncmp(line, MOD_NAME ":", sizeof MOD_NAME) == 0 ? "" : MOD_NAME ": ";
	/* Not LM_*: its function and line would always be these. */
	LOG_FX(DEFAULT_FACILITY, levels[level], NULL, prefix, NULL, "%s\n", line);
}

void kb_log_sink_install(void)
{
	kb_log_set_sink(to_kamailio);
}
