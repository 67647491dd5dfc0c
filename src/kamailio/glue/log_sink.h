/* Sends log lines of the lower layers to Kamailio's log. */
#ifndef KB_KAMAILIO_GLUE_LOG_SINK_H
#define KB_KAMAILIO_GLUE_LOG_SINK_H

/* Once, before the first fork. */
void kb_log_sink_install(void);

#endif
