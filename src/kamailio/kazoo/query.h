/* kazoo_query (kazoo manual 5.1.2): a request, and sleeping until the reply is there. */
#ifndef KB_KAMAILIO_KAZOO_QUERY_H
#define KB_KAMAILIO_KAZOO_QUERY_H

#include <core/parser/msg_parser.h>
#include <core/str.h>

#include <stdbool.h>

/* In mod_init: reads amqp_result_avp. */
bool kz_query_check(void);

int kz_query3(struct sip_msg *msg, char *exchange, char *routing_key, char *payload);
int kz_query4(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *target);
int kz_query5(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *target, char *headers);
int kz_query_fixup(void **parameter, int number);
int kz_query_fixup_free(void **parameter, int number);

int kz_query_kemi(struct sip_msg *msg, str *exchange, str *routing_key, str *payload);
int kz_query_kemi_headers(struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *headers);

#endif
