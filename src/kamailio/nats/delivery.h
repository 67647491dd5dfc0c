/* The message whose event route runs in this process, for the functions and variables of scripts. */
#ifndef KB_KAMAILIO_NATS_DELIVERY_H
#define KB_KAMAILIO_NATS_DELIVERY_H

#include <core/pvar.h>

#include "bus/listener.h"
#include "core/message.h"

/* One at a time: there is a current message between these two calls. Both arguments stay the caller's. */
void kn_delivery_begin(const struct kb_message *m, struct kb_delivery *handle);
void kn_delivery_end(void);

/* NULL when no route of a message runs. */
const struct kb_message *kn_delivery_message(void);

/* The handle that settles the current message (bus/listener.h); NULL when no route of a message runs. */
struct kb_delivery *kn_delivery_handle(void);

/* $natsData, $natsSubject, $natsReply, $natsHdr(name), $natsProp(name): null when no route of a message runs. */
int kn_delivery_pv_data(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_delivery_pv_subject(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_delivery_pv_reply(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_delivery_pv_header(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_delivery_pv_property(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);

#endif
