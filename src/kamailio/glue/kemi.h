/* The KEMI script of the configuration. */
#ifndef KB_KAMAILIO_GLUE_KEMI_H
#define KB_KAMAILIO_GLUE_KEMI_H

#include <stdbool.h>

/* True when a KEMI engine is loaded: a script may then call functions that no route of kamailio.cfg calls. Valid once
 * the configuration is read. */
bool kb_kemi_is_present(void);

#endif
