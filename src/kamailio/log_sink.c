#include "kamailio/log_sink.h"

#include <core/dprint.h>

#include "core/log.h"

static void to_kamailio(enum kb_log_level level, const char *line)
{
	static const int levels[] = {L_ERR, L_WARN, L_NOTICE, L_INFO, L_DBG};
	LOG(levels[level], "%s\n", line);
}

void kb_log_sink_install(void)
{
	kb_log_set_sink(to_kamailio);
}
