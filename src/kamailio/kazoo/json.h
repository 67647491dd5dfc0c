/* kazoo_json and kazoo_json_keys: 1, or -1 and a log line. */
#ifndef KB_KAMAILIO_KAZOO_JSON_H
#define KB_KAMAILIO_KAZOO_JSON_H

#include <core/parser/msg_parser.h>

int kz_json(struct sip_msg *msg, char *json, char *field, char *target);
int kz_json_keys(struct sip_msg *msg, char *json, char *field, char *target);

#endif
