/* kazoo_subscribe, native and KEMI, which may be called only while kazoo:mod-init runs: 1, or -1 and a log line. */
#ifndef KB_KAMAILIO_KAZOO_SUBSCRIBE_H
#define KB_KAMAILIO_KAZOO_SUBSCRIBE_H

#include <core/parser/msg_parser.h>

int kz_subscribe1(struct sip_msg *msg, char *json, char *unused);
int kz_subscribe4(struct sip_msg *msg, char *exchange, char *type, char *queue, char *routing_key);
int kz_subscribe_kemi(struct sip_msg *msg, str *json);
int kz_subscribe_kemi_simple(struct sip_msg *msg, str *exchange, str *type, str *queue, str *routing_key);

#endif
