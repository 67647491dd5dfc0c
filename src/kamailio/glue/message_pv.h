/* Values for pseudo-variables that show parts of a message. */
#ifndef KB_KAMAILIO_GLUE_MESSAGE_PV_H
#define KB_KAMAILIO_GLUE_MESSAGE_PV_H

#include <core/pvar.h>

#include "core/slice.h"

/* The text, or null when slice.p is NULL. */
int kb_message_pv_text(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value, struct kb_slice slice);

/* $name(entry): the value under this name in a list (kb_headers_next()), null when the list has no such name. */
int kb_message_pv_entry(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value, struct kb_slice list);

/* Parser for pv_export_t: the name of an entry, or a pseudo-variable that holds it. */
int kb_message_pv_parse_name(pv_spec_t *spec, str *name);

#endif
