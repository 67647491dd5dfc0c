/* Pseudo-variables that show parts of a message. */
#ifndef KB_KAMAILIO_GLUE_MESSAGE_PV_H
#define KB_KAMAILIO_GLUE_MESSAGE_PV_H

#include <core/pvar.h>

#include "core/slice.h"

/* The text, or null when slice.p is NULL. */
int kb_message_pv_text(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value, struct kb_slice slice);

/* $name(entry): the value under that name in a list (kb_headers_next()), null when there is none. */
int kb_message_pv_entry(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value, struct kb_slice list);

/* For pv_export_t: an entry's name as it is, or a pseudo-variable that holds it. */
int kb_message_pv_parse_name(pv_spec_t *spec, str *name);

#endif
