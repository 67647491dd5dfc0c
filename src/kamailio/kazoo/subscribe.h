/* kazoo_subscribe and the event mod-init, in which alone it may be called. */
#ifndef KB_KAMAILIO_KAZOO_SUBSCRIBE_H
#define KB_KAMAILIO_KAZOO_SUBSCRIBE_H

#include <core/parser/msg_parser.h>

#include <stdbool.h>

#include "bus/subscription.h"

/* Runs event_route[kazoo:mod-init] or its callback, where alone the subscribe functions may be called. */
void kz_mod_init_run(void);
bool kz_mod_init_is_running(void);
const struct kb_subscription *kz_subscriptions(size_t *count);

int kz_subscribe1(struct sip_msg *msg, char *json, char *unused);
int kz_subscribe4(struct sip_msg *msg, char *exchange, char *type, char *queue, char *routing_key);
int kz_subscribe_kemi(struct sip_msg *msg, str *json);
int kz_subscribe_kemi_simple(struct sip_msg *msg, str *exchange, str *type, str *queue, str *routing_key);

#endif
