/* The message whose event route runs in this process, for the functions and variables of scripts. */
#ifndef KB_KAMAILIO_KAZOO_DELIVERY_H
#define KB_KAMAILIO_KAZOO_DELIVERY_H

#include <core/pvar.h>

#include "bus/subscription.h"
#include "core/inbox.h"

/* One at a time: there is a current message between kz_delivery_begin() and kz_delivery_end(). `payload` is the value
 * of $kzE and stays the caller's. `subscription` is NULL for an event of the module itself. kz_delivery_begin() returns
 * the message to use from then on, because its record may go back to the ring before the route ends. kz_delivery_end()
 * settles the message with this outcome unless the route has settled it. */
struct kz_delivery {
	struct kb_inbox *inbox;
	size_t worker;
	struct kb_record *record;
	const struct kb_message *message;
	const struct kb_subscription *subscription;
	struct kb_slice payload;
};
const struct kb_message *kz_delivery_begin(const struct kz_delivery *delivery);
void kz_delivery_end(enum kb_outcome outcome);

/* The value of $kzE. */
struct kb_slice kz_delivery_payload(void);

/* kazoo_ack(), kazoo_reject() and kazoo_requeue(): settle the message at once. 1, or -1 and a log line; -1 also when it
 * is settled already. */
int kz_delivery_ack(struct sip_msg *msg, char *unused1, char *unused2);
int kz_delivery_reject(struct sip_msg *msg, char *unused1, char *unused2);
int kz_delivery_requeue(struct sip_msg *msg, char *unused1, char *unused2);
int kz_delivery_ack_kemi(struct sip_msg *msg);
int kz_delivery_reject_kemi(struct sip_msg *msg);
int kz_delivery_requeue_kemi(struct sip_msg *msg);

/* $kzE, $kzRK, $kzEx, $kzQueue, $kzRedelivered, $kzHdr(name), $kzProp(name): null when no route of an event runs. */
int kz_delivery_pv_payload(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kz_delivery_pv_routing_key(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kz_delivery_pv_exchange(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kz_delivery_pv_queue(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kz_delivery_pv_redelivered(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kz_delivery_pv_header(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kz_delivery_pv_property(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);

#endif
