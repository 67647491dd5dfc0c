/* Log lines of the lower layers go where Kamailio's go. */
#ifndef KB_KAMAILIO_GLUE_LOG_SINK_H
#define KB_KAMAILIO_GLUE_LOG_SINK_H

/* Once, before the first fork. */
void kb_log_sink_install(void);

#endif
